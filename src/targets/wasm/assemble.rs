//! A module: the sections of the kernel, with the tables of a policy behind its memory.
//!
//! ```text
//! page 0 …            the kernel's stack and data
//! next page           the tables, in one segment that nothing writes
//! behind the tables   what the module allocates
//! ```
//!
//! Sections are copied as they are but three: the memory grows by the tables, and the data has a segment more, which is
//! counted. So the module needs no library to be written.

use super::tables::Written;

const PAGE: usize = 1 << 16;
/// The custom section that says what rules and grants are.
pub const RULES: &[u8] = b"netpol.rules";

/// The numbers of sections in the binary format of WebAssembly.
mod section {
    pub const CUSTOM: u8 = 0;
    pub const MEMORY: u8 = 5;
    pub const DATA: u8 = 11;
    pub const DATA_COUNT: u8 = 12;
}

/// Puts tables behind the memory of a kernel, and rules into a section of their own.
pub fn module(kernel: &[u8], tables: &Written, rules: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(4 * tables.words.len() + tables.text.len());
    text.extend(tables.words.iter().flat_map(|word| word.to_le_bytes()));
    text.extend_from_slice(&tables.text);
    let mut out = Vec::with_capacity(kernel.len() + text.len() + rules.len() + 64);
    let (head, mut rest) = kernel.split_at(kernel.len().min(8));
    out.extend_from_slice(head);
    let mut start = 0;
    while let [id, after @ ..] = rest {
        rest = after;
        let length = take(&mut rest) as usize;
        let (body, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        match *id {
            section::CUSTOM => {}
            section::MEMORY => {
                let (body, pages) = larger(body, text.len());
                start = pages * PAGE;
                put_section(&mut out, section::MEMORY, &body);
            }
            section::DATA_COUNT => put_section(&mut out, section::DATA_COUNT, &one_more(body)),
            section::DATA => {
                let mut body = one_more(body);
                // An active segment of memory 0, at a constant.
                body.extend([0, 0x41]);
                put_signed(&mut body, start as i64);
                body.push(0x0b);
                put(&mut body, text.len() as u64);
                body.extend_from_slice(&text);
                put_section(&mut out, section::DATA, &body);
            }
            other => put_section(&mut out, other, body),
        }
    }
    let mut custom = Vec::with_capacity(rules.len() + 16);
    put(&mut custom, RULES.len() as u64);
    custom.extend_from_slice(RULES);
    custom.extend_from_slice(rules);
    put_section(&mut out, section::CUSTOM, &custom);
    out
}

/// Returns the contents of a module's custom section of a name.
#[cfg(feature = "wasm-run")]
pub fn custom<'m>(code: &'m [u8], wanted: &[u8]) -> Option<&'m [u8]> {
    let mut rest = code.get(8..)?;
    while let [id, after @ ..] = rest {
        rest = after;
        let length = take(&mut rest) as usize;
        let (mut body, after) = rest.split_at_checked(length)?;
        rest = after;
        if *id == section::CUSTOM {
            let name = take(&mut body) as usize;
            if let Some((name, contents)) = body.split_at_checked(name)
                && name == wanted
            {
                return Some(contents);
            }
        }
    }
    None
}

/// Returns the memory section with room for some bytes more, and the pages that it had.
fn larger(mut body: &[u8], bytes: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    put(&mut out, take(&mut body));
    let flags = take(&mut body);
    let pages = take(&mut body) as usize;
    put(&mut out, flags);
    put(&mut out, (pages + bytes.div_ceil(PAGE)) as u64);
    out.extend_from_slice(body);
    (out, pages)
}

/// Returns a section whose first number is one more.
fn one_more(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 1);
    put(&mut out, take(&mut body) + 1);
    out.extend_from_slice(body);
    out
}

fn put_section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    put(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// Takes a number in LEB128 from the beginning of some bytes.
fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let [first, rest @ ..] = *bytes {
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 || shift > 56 {
            break;
        }
    }
    number
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, mut number: i64) {
    while !(-0x40..0x40).contains(&number) {
        out.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    out.push(number as u8 & 0x7f);
}
