//! Written YAML, line by line, and changes of it.

/// The lines of a file.
#[derive(Clone)]
pub struct Text(Vec<String>);

impl Text {
    pub fn of(text: &str) -> Text {
        Text(text.lines().map(str::to_owned).collect())
    }

    pub fn shown(&self) -> String {
        self.0.iter().filter(|line| !line.trim().is_empty()).map(|line| format!("{line}\n")).collect()
    }

    /// Returns the numbers of the lines that begin so, after a dash or none.
    fn at(&self, begin: &str) -> Vec<usize> {
        let fits = |line: &String| line.trim_start().trim_start_matches("- ").starts_with(begin);
        (0..self.0.len()).filter(|at| fits(&self.0[*at])).collect()
    }

    fn indent(&self, at: usize) -> usize {
        self.0[at].len() - self.0[at].trim_start().len()
    }

    fn has_dash(&self, at: usize) -> bool {
        self.0[at].trim_start().starts_with("- ")
    }

    /// Returns the line after a block whose key or dash stands in a column.
    fn end(&self, at: usize, column: usize) -> usize {
        let inside = |next: &usize| self.indent(*next) > column && self.0[*next] != "---";
        (at + 1..self.0.len()).find(|next| !inside(next)).unwrap_or(self.0.len())
    }

    /// Returns a text for each line that is not empty, with other content in its place.
    pub fn replace(&self, old: &str, new: &str) -> Vec<Text> {
        let is_comment = |line: &String| line.trim_start().starts_with('#') || line.contains("netpol/source");
        let lines = (0..self.0.len()).filter(|at| self.0[*at].contains(old) && !is_comment(&self.0[*at]));
        lines
            .map(|at| {
                let mut text = self.clone();
                text.0[at] = text.0[at].replacen(old, new, 1);
                text
            })
            .collect()
    }

    /// Returns a text for each block whose key begins so, without it.
    pub fn without(&self, key: &str) -> Vec<Text> {
        self.at(key).into_iter().map(|at| self.without_block(at)).collect()
    }

    fn without_block(&self, at: usize) -> Text {
        let mut text = self.clone();
        let indent = self.indent(at);
        if !self.has_dash(at) {
            text.0.drain(at..self.end(at, indent));
            return text;
        }
        let end = self.end(at, indent + 2);
        let goes_on = end < self.0.len() && self.indent(end) == indent + 2 && !self.has_dash(end);
        text.0.drain(at..end);
        match goes_on {
            true => text.0[at].replace_range(indent..indent + 1, "-"),
            false => text.0.insert(at, format!("{}- {{}}", " ".repeat(indent))),
        }
        text
    }

    /// Returns a text for each item of a list that begins so, without it.
    pub fn without_item(&self, begin: &str) -> Vec<Text> {
        let items = self.at(begin).into_iter().filter(|at| self.has_dash(*at));
        items
            .map(|at| {
                let mut text = self.clone();
                text.0.drain(at..self.end(at, self.indent(at)));
                text
            })
            .collect()
    }

    /// Returns a text for each block whose key begins so, with an empty list or mapping in its place.
    pub fn emptied(&self, key: &str, empty: &str) -> Vec<Text> {
        let blocks = self.at(&format!("{key}:")).into_iter();
        blocks
            .map(|at| {
                let mut text = self.clone();
                let column = self.indent(at) + if self.has_dash(at) { 2 } else { 0 };
                text.0.drain(at + 1..self.end(at, column));
                let start = text.0[at].find(key).unwrap();
                text.0[at].replace_range(start.., &format!("{key}: {empty}"));
                text
            })
            .collect()
    }

    /// Returns a text for each key that begins so and is not the first of its item, which it begins now.
    pub fn own_item(&self, key: &str) -> Vec<Text> {
        let keys = self.at(key).into_iter().filter(|at| !self.has_dash(*at));
        let inside = keys.filter(|at| {
            let before = (0..*at).rev().find(|before| self.indent(*before) < self.indent(*at));
            before.is_some_and(|before| self.has_dash(before) && self.indent(before) + 2 == self.indent(*at))
        });
        inside
            .map(|at| {
                let mut text = self.clone();
                let column = self.indent(at);
                text.0[at].replace_range(column - 2..column - 1, "-");
                text
            })
            .collect()
    }

    /// Returns a text for each document, without it.
    pub fn without_document(&self) -> Vec<Text> {
        let mut documents: Vec<Vec<String>> = vec![Vec::new()];
        for line in &self.0 {
            match line == "---" {
                true => documents.push(Vec::new()),
                false => documents.last_mut().unwrap().push(line.clone()),
            }
        }
        (0..documents.len())
            .map(|at| {
                let mut rest = documents.clone();
                rest.remove(at);
                Text(rest.join(&"---".to_owned()))
            })
            .collect()
    }

    /// Returns a text for each key, with a line after it.
    pub fn with_line_after(&self, key: &str, line: &str) -> Vec<Text> {
        let keys = self.at(key).into_iter();
        keys.map(|at| {
            let mut text = self.clone();
            text.0.insert(at + 1, format!("{}{line}", " ".repeat(self.indent(at))));
            text
        })
        .collect()
    }
}
