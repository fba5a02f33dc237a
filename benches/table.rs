//! The table that a benchmark prints: a line for each goal, as `cargo bench --bench meaning` has it.

use std::process::ExitCode;

/// A line of the table: the sizes at which it is measured, its name, and the function that measures it.
pub type Line = (&'static [usize], &'static str, fn(usize) -> Measured);

/// A figure beside its goal, both in this unit.
pub struct Measured {
    pub unit: &'static str,
    pub figure: f64,
    pub goal: f64,
    /// What it was measured from.
    pub from: String,
}

/// Measures and prints the lines whose names the arguments of the command name, at the sizes that they name, and fails
/// where a goal is missed.
pub fn print(lines: &[Line]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let names: Vec<&String> = args.iter().filter(|arg| arg.parse::<usize>().is_err()).collect();
    println!("{:>8} {:<54} {:>10} {:>10}", "rules", "what", "figure", "goal");
    let mut missed = false;
    let is_wanted = |what: &str| names.is_empty() || names.iter().any(|name| what.contains(name.as_str()));
    for (sizes, what, measure) in lines.iter().filter(|(_, what, _)| is_wanted(what)) {
        for &size in if wanted.is_empty() { *sizes } else { &wanted } {
            let Measured { unit, figure, goal, from } = measure(size);
            let word = if figure > goal { "  missed" } else { "" };
            println!("{size:>8} {what:<54} {figure:>7.2} {unit:<2} {goal:>7.2} {unit:<2}  {from}{word}");
            missed |= figure > goal;
        }
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
