//! The parser that pest makes of `grammar/*.pest`.

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "grammar/lexical.pest"]
#[grammar = "grammar/endpoint.pest"]
#[grammar = "grammar/item.pest"]
pub struct Grammar;

#[cfg(test)]
mod tests {
    use pest::Parser;

    use super::{Grammar, Rule};

    const FILES: [(&str, &str); 3] = [
        ("lexical", include_str!("../../grammar/lexical.pest")),
        ("endpoint", include_str!("../../grammar/endpoint.pest")),
        ("item", include_str!("../../grammar/item.pest")),
    ];

    /// Each `// ok: RULE: TEXT` of the grammar is read whole by its rule, and no `// err: RULE: TEXT` is.
    #[test]
    fn the_examples_of_the_grammar_hold() {
        let mut wrong = Vec::new();
        let mut seen = 0;
        for (file, grammar) in FILES {
            for (at, line) in grammar.lines().enumerate() {
                let (good, example) = match (line.strip_prefix("// ok: "), line.strip_prefix("// err: ")) {
                    (Some(example), _) => (true, example),
                    (_, Some(example)) => (false, example),
                    _ => continue,
                };
                seen += 1;
                let (rule, text) = example.split_once(": ").unwrap();
                let rule = Rule::all_rules().iter().find(|known| format!("{known:?}") == rule);
                let rule = *rule.unwrap_or_else(|| panic!("{file}:{}: no such rule in `{example}`", at + 1));
                let whole = Grammar::parse(rule, text).is_ok_and(|pairs| pairs.as_str() == text);
                if whole != good {
                    wrong.push(format!("{file}.pest:{}: {line}", at + 1));
                }
            }
        }
        assert!(wrong.is_empty() && seen > 50, "{seen} examples; wrong:\n{}", wrong.join("\n"));
    }
}
