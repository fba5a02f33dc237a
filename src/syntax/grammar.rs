//! The parser that pest makes of `grammar/*.pest`.

use pest_derive::Parser;

#[derive(Parser)]
#[grammar = "grammar/lexical.pest"]
#[grammar = "grammar/endpoint.pest"]
#[grammar = "grammar/item.pest"]
pub struct Grammar;
