//! Files on disk: which ones a run reads, and the names by which it speaks of them.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::Fatal;

/// The name of a source that came in on stdin.
pub const STDIN: &str = "<stdin>";

/// Paths as messages show them: relative to the folder of `netpol.toml`, or without one as they were given.
#[derive(Clone, Debug)]
pub struct Paths {
    current: PathBuf,
    root: Option<PathBuf>,
    /// The texts that replace files on disk, by the canonical path of each file.
    unsaved: HashMap<PathBuf, String>,
}

impl Paths {
    /// Makes the paths of a run without a `netpol.toml`.
    pub fn new() -> Result<Paths, Fatal> {
        let current = std::env::current_dir().map_err(|error| Fatal::io("cannot find the current folder", error))?;
        Ok(Paths { current, root: None, unsaved: HashMap::new() })
    }

    /// Replaces files on disk by texts from now on: those that an editor has not saved.
    pub fn instead(&mut self, unsaved: impl IntoIterator<Item = (PathBuf, String)>) {
        self.unsaved.extend(unsaved.into_iter().map(|(path, text)| (identity(&path), text)));
    }

    /// Reads a file, at most one byte more than `limit`: a longer file is refused anyway.
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let unsaved = if self.unsaved.is_empty() { None } else { self.unsaved.get(&identity(path)) };
        if let Some(text) = unsaved {
            return take(text.as_bytes(), text.len() as u64, limit);
        }
        let file = std::fs::File::open(path)?;
        let size = file.metadata().map_or(0, |data| data.len()).min(limit);
        take(file, size, limit)
    }

    /// Shows paths relative to the folder of `config` from now on.
    pub fn below(&mut self, config: &Path) {
        self.root = self.absolute(config).parent().map(Path::to_path_buf);
    }

    /// Returns a path as it is shown.
    pub fn show(&self, path: &Path) -> String {
        match &self.root {
            Some(root) => slashes(&relative(&self.absolute(path), root)),
            None => show(path),
        }
    }

    /// Returns the absolute path of a file by the path that is shown.
    pub fn real(&self, shown: &str) -> PathBuf {
        clean(&self.root.as_ref().unwrap_or(&self.current).join(shown))
    }

    /// Returns an absolute path without `.` and `..`.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        clean(&self.current.join(path))
    }

    /// Returns the nearest `netpol.toml` in the folder of `path` (the folder itself where it is one) or above. One that
    /// cannot be read, such as a link to nothing, is found too: a run without it would have another meaning.
    pub fn find_config(&self, path: Option<&Path>) -> Option<PathBuf> {
        let from = path.map_or_else(|| self.current.clone(), |path| self.absolute(path));
        from.ancestors().map(|folder| folder.join("netpol.toml")).find(|file| file.symlink_metadata().is_ok())
    }
}

/// Returns a path without `.`, and without `name/..`.
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.components().next_back() {
                Some(Component::Normal(_)) => {
                    out.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => out.push(".."),
            },
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// Returns a path as it is shown without a folder that it is relative to.
pub fn show(path: &Path) -> String {
    slashes(&clean(path))
}

/// Returns the way from one absolute folder to an absolute path.
fn relative(path: &Path, from: &Path) -> PathBuf {
    let shared = path.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    clean(&up.chain(path.components().skip(shared)).collect::<PathBuf>())
}

fn slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

/// Returns the files of a path: itself, or all files below it with one of the `endings`, in the order of their paths,
/// without hidden ones.
pub fn files(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, Fatal> {
    let metadata = std::fs::metadata(path).map_err(|error| Fatal::cannot_read(path, error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let shown =
        |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(path).follow_links(true).into_iter().filter_entry(shown) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if has_ending(entry.path(), endings) => found.push(entry.into_path()),
            Ok(_) => {}
            // A link back to an enclosing folder shows nothing new. A dangling link is an error only if its name is one
            // of a file to read.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let at = error.path().unwrap_or(path).to_path_buf();
                let dangling = std::fs::symlink_metadata(&at).is_ok_and(|data| data.is_symlink());
                if !dangling || has_ending(&at, endings) {
                    return Err(Fatal::cannot_read(&at, error.into()));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending))
}

/// Returns the canonical path, which is the same for all paths of one file.
pub fn identity(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Reads stdin, at most one byte more than `limit`.
pub fn read_stdin(limit: u64) -> Result<Vec<u8>, Fatal> {
    take(io::stdin().lock(), 0, limit).map_err(|error| Fatal::io("cannot read stdin", error))
}

/// Reads at most one byte more than `limit`; `size` is how many are likely.
pub fn take(from: impl Read, size: u64, limit: u64) -> io::Result<Vec<u8>> {
    // One byte more than the size shows the end of the file without a larger buffer.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    from.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: Option<&str>) -> Paths {
        Paths { current: PathBuf::from("/srv/me/shop"), root: root.map(PathBuf::from), unsaved: HashMap::new() }
    }

    #[test]
    fn paths_are_shown_from_the_folder_of_the_configuration() {
        let inside = paths(Some("/srv/me"));
        assert_eq!(inside.show(Path::new("./a.netpol")), "shop/a.netpol");
        assert_eq!(inside.show(Path::new("../../you/b.netpol")), "../you/b.netpol");
        assert_eq!(inside.show(Path::new("/srv/me/c.netpol")), "c.netpol");
    }

    #[test]
    fn without_a_configuration_paths_are_shown_as_given() {
        let bare = paths(None);
        assert_eq!(bare.show(Path::new("./a/../b.netpol")), "b.netpol");
        assert_eq!(bare.show(Path::new("../b.netpol")), "../b.netpol");
        assert_eq!(bare.show(Path::new("/x/./b.netpol")), "/x/b.netpol");
    }
}
