//! Single files: each is replaced as a whole, so that readers see the old one or the new one; and differences of texts.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use similar::TextDiff;

/// The longest search for the shortest difference; after this, a longer difference is shown.
const DIFF_PATIENCE: Duration = Duration::from_secs(5);

/// Replaces a file, or makes it: readers see the old or the new text, and never a part of one. Its permissions stay.
pub fn replace(path: &Path, text: impl AsRef<[u8]>) -> io::Result<()> {
    // A symbolic link stays a link: the file behind it is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let beside = beside(&path);
    let written = write(&beside, text.as_ref()).and_then(|()| {
        if let Ok(metadata) = fs::metadata(&path) {
            fs::set_permissions(&beside, metadata.permissions())?;
        }
        fs::rename(&beside, &path)
    });
    if written.is_err() {
        // The first error is the one to report; a leftover file is hidden and does no harm.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Returns the name of the hidden file that becomes `path`.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Returns the unified difference of two texts of one file; empty if they are equal.
pub fn difference(path: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::configure().timeout(DIFF_PATIENCE).diff_lines(old, new);
    diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string()
}
