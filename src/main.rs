//! The `netpol` command.

fn main() -> std::process::ExitCode {
    netpol::cli::run(std::env::args_os()).into()
}
