//! The engines: processes that answer a line of JSON by a line of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// By engine, a letter for each flow: `1` is allowed, `0` denied, `-` no vote.
pub type Verdicts = BTreeMap<String, Vec<u8>>;

/// A running program, which may contain several engines.
pub struct Program {
    path: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts a program.
    pub fn start(path: &str) -> Program {
        let started = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{path}: {error}"));
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Program { path: path.into(), child, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, question: &str) {
        writeln!(self.input, "{question}").unwrap_or_else(|error| panic!("{}: {error}", self.path));
    }

    fn answer(&mut self) -> Result<Verdicts, String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        assert!(read.is_ok_and(|read| read > 0), "{} stopped", self.path);
        let answer: Value = serde_json::from_str(&line).unwrap();
        if let Some(error) = answer["error"].as_str() {
            return Err(format!("{}: {error}", self.path));
        }
        let verdicts = answer["verdicts"].as_object().unwrap().iter();
        Ok(verdicts.map(|(engine, letters)| (engine.clone(), letters.as_str().unwrap().into())).collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends with its input; nothing is lost if it does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks all programs at once. Meanwhile `also` is done.
pub fn ask<T>(programs: &mut [Program], question: &Value, also: impl FnOnce() -> T) -> (Result<Verdicts, String>, T) {
    let text = question.to_string();
    for program in &mut *programs {
        program.ask(&text);
    }
    let done = also();
    let mut all = Ok(Verdicts::new());
    // Every answer is read, also after an error: the next question expects its own.
    for program in programs {
        let answer = program.answer();
        all = all.and_then(|mut all| {
            all.extend(answer?);
            Ok(all)
        });
    }
    (all, done)
}
