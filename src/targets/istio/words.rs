//! Words that messages of several passes share.

/// Joins the names of things for a sentence, the first three of them.
pub fn list_names(names: &[String]) -> String {
    list_all_names(&[names])
}

/// Joins the names of several lists for a sentence, the first three of them.
pub fn list_all_names(lists: &[&[String]]) -> String {
    let first: Vec<&str> = lists.iter().copied().flatten().take(3).map(String::as_str).collect();
    let all = first.join(", ");
    match lists.iter().map(|list| list.len()).sum::<usize>() {
        0..=3 => all,
        more => format!("{all} and {} more", more - 3),
    }
}
