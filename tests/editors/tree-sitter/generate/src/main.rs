//! Makes `src/parser.c` of a folder's `grammar.js`, as `tree-sitter generate` does: the package of that command on npm
//! fetches a program when it is installed, and this is built from source.

use std::path::PathBuf;
use std::process::ExitCode;

use tree_sitter_generate::{OptLevel, generate_parser_in_directory};

/// The version of parsers that Neovim, Helix, Zed and Emacs 29 all read.
const ABI: usize = 14;

fn main() -> ExitCode {
    let folder = std::env::args().nth(1).map(PathBuf::from).unwrap_or_default();
    let none = None::<PathBuf>;
    let made =
        generate_parser_in_directory(folder, none.clone(), none, ABI, None, Some("node"), true, OptLevel::default());
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
