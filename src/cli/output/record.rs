//! The record: a hidden file that lists the files that builds have written into a folder.

use std::fs;
use std::io;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::Output;
use crate::cli::Fatal;

/// The name of the record, without an ending that tools which apply whole folders would take for a manifest.
pub const NAME: &str = ".netpol-manifest";
/// The name of a new record until it replaces the old one.
pub(super) const WAITING: &str = ".netpol-manifest.new";

/// The files that builds have written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whether a build has begun and not ended.
    pub unfinished: bool,
    /// The files, sorted.
    pub files: Vec<String>,
}

impl Record {
    /// Reads the record of a folder, an empty one if there is none; the inner error says why it cannot be trusted.
    pub fn read(output: &Output) -> Result<Result<Record, String>, Fatal> {
        let path = output.root.join(NAME);
        match fs::symlink_metadata(&path) {
            Ok(data) if !data.is_file() => return Ok(Err("it is not a file".into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Record::default())),
            Err(error) => return Err(output.cannot("read", NAME, error)),
        }
        let text = fs::read(&path).map_err(|error| output.cannot("read", NAME, error))?;
        let record: Record = match serde_json::from_slice(&text) {
            Ok(record) => record,
            Err(error) => return Ok(Err(format!("line {}: {error}", error.line()))),
        };
        Ok(match record.files.iter().find(|file| !stays_inside(file)) {
            Some(outside) => Err(format!("`{outside}` is no file of this folder")),
            None => Ok(record),
        })
    }

    /// Replaces the record of a folder.
    pub fn write(&self, output: &Output) -> Result<(), Fatal> {
        let failed = |error| output.cannot("write", NAME, error);
        let mut text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        text.push('\n');
        let waiting = output.root.join(WAITING);
        fs::write(&waiting, text).and_then(|()| fs::rename(&waiting, output.root.join(NAME))).map_err(failed)
    }
}

/// Returns whether a path leads to a file below the folder that it starts from, and to none of our hidden ones.
pub fn stays_inside(path: &str) -> bool {
    let plain =
        |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    !path.is_empty() && !path.ends_with('/') && Path::new(path).components().all(plain)
}

#[cfg(test)]
mod tests {
    use super::stays_inside;

    #[test]
    fn only_plain_files_below_the_folder_are_ours() {
        for path in ["garden/istio.yaml", "a.yaml"] {
            assert!(stays_inside(path), "{path}");
        }
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a/", ".netpol-manifest", "a/.x", "."] {
            assert!(!stays_inside(path), "{path}");
        }
    }
}
