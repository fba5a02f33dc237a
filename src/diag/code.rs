//! The one table of codes: number, name, title. Numbers are never reused; the letter is the severity.
//!
//! Each code has a page `docs/errors/<code>.md`; tests compare this table, the pages and the codes that the source
//! emits.

use super::Severity;

macro_rules! codes {
    ($($code:ident $name:ident $title:literal;)*) => {
        /// What kind of finding a diagnostic is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!(stringify!($code), ": ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// Returns the code as it is printed: `E0312`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => stringify!($code),)* }
            }

            /// Returns the name of the variant, as the source of the stages uses it.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }

            /// Returns the title of the code's page.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// Returns the code's page in Markdown.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("../../docs/errors/", stringify!($code), ".md")),)*
                }
            }
        }
    };
}

codes! {
    // Text and syntax (syntax/).
    E0101 Expected "something else was expected here";
    // Names, modules and endpoints (resolve/, types/).
    // Kinds, facts and ports (types/, policy/).
    // Declarations and templates (types/).
    // Scope, annotations and redundant rules (types/, policy/).
    // Inventory (inventory/).
    // Layers and targets (targets/).
    // Output (cli/, targets/).
    // Input and configuration (cli/).
    E0901 ConfigSyntax "the configuration is not valid TOML";
    E0902 ConfigUnknownKey "the configuration has an unknown key";
    E0903 ConfigType "a value of the configuration is of the wrong type";
    E0904 ConfigValue "a value of the configuration is not one that the key takes";
    E0911 NotUtf8 "a file is not UTF-8";
}

impl Code {
    /// Returns the severity that the code's letter stands for.
    pub fn severity(self) -> Severity {
        match self.as_str().as_bytes()[0] {
            b'E' => Severity::Error,
            b'W' => Severity::Warning,
            _ => Severity::Note,
        }
    }

    /// Returns the code that is printed as `text`.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}
