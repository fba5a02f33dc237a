//! The compiler as a WebAssembly module: text in, the files of a build out. See README.md.

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::diag::render::{Format, render};
use netpol::settings::Settings;

/// Makes room for so many bytes of text, which [`compile`] takes.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(length: usize) -> *mut u8 {
    Box::leak(vec![0u8; length].into_boxed_slice()).as_mut_ptr()
}

/// Compiles the text at an address of [`allocate`]. Returns the address of the answer: its length in four bytes, and
/// what a build writes (each file after a line with its path), or the messages.
///
/// # Safety
///
/// `text` is of `allocate(length)`, and is given once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compile(text: *mut u8, length: usize) -> *const u8 {
    // SAFETY: as the caller promises, it is a leaked box of this length.
    let text = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(text, length)) };
    let answer = answer(&String::from_utf8_lossy(&text));
    let bytes = [&(answer.len() as u32).to_le_bytes(), answer.as_bytes()].concat();
    Box::leak(bytes.into_boxed_slice()).as_ptr()
}

fn answer(text: &str) -> String {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("headline.netpol", text);
    let mut found = Diagnostics::new();
    let mut answer = String::new();
    if let Some(policy) = compile::policy(&mut input, &mut compile::no_files, &mut found) {
        compile::build(&policy, &input.sources, &mut found, &mut |files| {
            files.iter().for_each(|file| answer.push_str(&format!("==> {}\n{}", file.path, file.text)));
            true
        });
    }
    if !found.has_errors() {
        return answer;
    }
    let mut messages = Vec::new();
    let _ = render(&found, &input.sources, Format::Human, false, &mut messages);
    String::from_utf8_lossy(&messages).into_owned()
}
