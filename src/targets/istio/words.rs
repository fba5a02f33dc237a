//! Words that messages of several passes share.

/// Joins the names of things for a sentence, the first three of them.
pub fn list_names(names: &[String]) -> String {
    match names.len() {
        0..=3 => names.join(", "),
        more => format!("{} and {} more", names[..3].join(", "), more - 3),
    }
}
