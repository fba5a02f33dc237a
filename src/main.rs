//! The `netpol` command.

fn main() -> std::process::ExitCode {
    netpol::cli::run(std::env::args_os()).into()
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
