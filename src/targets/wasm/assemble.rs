//! A module: the sections of the code, with the tables of a policy behind its memory.
//!
//! ```text
//! page 0 …            the stack and the data of the code
//! next page           the tables, which nothing writes
//! behind the tables   what the module allocates
//! ```
//!
//! Sections are copied unchanged, except those that get a further entry. So no library is needed to write a module.

use super::rules::Reasons;
use super::tables::Written;

const PAGE: usize = 1 << 16;
/// The pages behind the tables, so that the first parties need no more memory than a module begins with.
const HEAP: usize = 2;
/// The custom section with the rules and grants.
pub const RULES: &[u8] = b"netpol.rules";

/// The numbers of sections in the binary format of WebAssembly.
mod section {
    pub const CUSTOM: u8 = 0;
    pub const TYPE: u8 = 1;
    pub const IMPORT: u8 = 2;
    pub const FUNCTION: u8 = 3;
    pub const MEMORY: u8 = 5;
    pub const GLOBAL: u8 = 6;
    pub const EXPORT: u8 = 7;
    pub const START: u8 = 8;
    pub const CODE: u8 = 10;
    pub const DATA: u8 = 11;
    pub const DATA_COUNT: u8 = 12;
    /// All but custom ones, in their order.
    pub const ORDER: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];
}

/// The sections of a module.
struct Sections(Vec<(u8, Vec<u8>)>);

impl Sections {
    /// Reads the sections of code, without custom ones.
    fn read(code: &[u8]) -> Sections {
        let mut rest = code.get(8..).unwrap_or_default();
        let mut sections = Vec::new();
        while let [id, after @ ..] = rest {
            rest = after;
            let length = take(&mut rest) as usize;
            let (body, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            if *id != section::CUSTOM {
                sections.push((*id, body.to_vec()));
            }
        }
        Sections(sections)
    }

    fn body(&self, id: u8) -> Option<&[u8]> {
        self.0.iter().find(|(have, _)| *have == id).map(|(_, body)| body.as_slice())
    }

    /// Returns the number of entries of a section.
    fn count(&self, id: u8) -> u64 {
        self.body(id).map_or(0, |mut body| take(&mut body))
    }

    fn set(&mut self, id: u8, body: Vec<u8>) {
        let place = |id: u8| section::ORDER.iter().position(|one| *one == id);
        match self.0.binary_search_by_key(&place(id), |(have, _)| place(*have)) {
            Ok(at) => self.0[at].1 = body,
            Err(at) => self.0.insert(at, (id, body)),
        }
    }

    /// Adds an entry, and returns its number.
    fn add(&mut self, id: u8, entry: &[u8]) -> u64 {
        let count = self.count(id);
        let mut body = one_more(self.body(id).unwrap_or(&[0]));
        body.extend_from_slice(entry);
        self.set(id, body);
        count
    }

    /// Writes the module, with its rules as a custom section.
    fn write(self, rules: &[u8]) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(self.0.iter().map(|(_, body)| body.len() + 8).sum::<usize>() + rules.len() + 64);
        out.extend_from_slice(b"\0asm\x01\0\0\0");
        for (id, body) in &self.0 {
            put_section(&mut out, *id, body);
        }
        put_rules(&mut out, rules);
        out
    }
}

/// Writes the custom section with the rules and grants.
fn put_rules(out: &mut Vec<u8>, rules: &[u8]) {
    let mut custom = Vec::with_capacity(rules.len() + 16);
    put(&mut custom, RULES.len() as u64);
    custom.extend_from_slice(RULES);
    custom.extend_from_slice(rules);
    put_section(out, section::CUSTOM, &custom);
}

/// Returns tables as bytes, followed by the rules and grants.
fn bytes(tables: &Written, reasons: Option<&Reasons>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 * tables.words.len() + tables.bytes.len());
    bytes.extend(tables.words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend_from_slice(&tables.bytes);
    if let Some(reasons) = reasons {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(reasons.words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend_from_slice(&reasons.text);
    }
    bytes
}

/// Puts tables, and reasons if there are any, behind the memory of code that has its own, and rules into a section of
/// their own.
pub fn module(code: &[u8], tables: &Written, reasons: Option<&Reasons>, rules: &[u8]) -> Vec<u8> {
    let bytes = bytes(tables, reasons);
    let mut sections = Sections::read(code);
    let (memory, pages) = larger(sections.body(section::MEMORY).unwrap_or_default(), bytes.len());
    sections.set(section::MEMORY, memory);
    // An active segment of memory 0, at a constant.
    let mut segment = vec![0, 0x41];
    put_signed(&mut segment, (pages * PAGE) as i64);
    segment.push(0x0b);
    put(&mut segment, bytes.len() as u64);
    segment.extend_from_slice(&bytes);
    sections.add(section::DATA, &segment);
    if sections.body(section::DATA_COUNT).is_some() {
        sections.add(section::DATA_COUNT, &[]);
    }
    sections.write(rules)
}

/// The number of the section of a component that is a module.
const CORE_MODULE: u8 = 1;

/// Makes a component: code whose first module gets tables and reasons. The rules are a section of the component.
pub fn component(code: &[u8], tables: &Written, reasons: &Reasons, rules: &[u8]) -> Vec<u8> {
    let (head, mut rest) = code.split_at(code.len().min(8));
    let mut out = head.to_vec();
    let mut is_first = true;
    while let [id, after @ ..] = rest {
        rest = after;
        let length = take(&mut rest) as usize;
        let (body, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        if *id == CORE_MODULE && std::mem::take(&mut is_first) {
            put_section(&mut out, *id, &module(body, tables, Some(reasons), &[]));
        } else {
            put_section(&mut out, *id, body);
        }
    }
    put_rules(&mut out, rules);
    out
}

/// Makes a module for OPA: code that imports its memory, with tables and reasons behind what it asks for.
///
/// Hosts bring a memory of their own size, so no segment can be placed there before it has grown: a function that runs
/// at the start does both. The versions of OPA's interface are globals with a value, which no compiler of Rust exports.
pub fn opa(code: &[u8], tables: &Written, reasons: &Reasons, rules: &[u8]) -> Vec<u8> {
    let bytes = bytes(tables, Some(reasons));
    let mut sections = Sections::read(code);
    let pages = imported_pages(sections.body(section::IMPORT).unwrap_or_default());

    // A passive segment, which the function copies.
    let mut segment = vec![1];
    put(&mut segment, bytes.len() as u64);
    segment.extend_from_slice(&bytes);
    let segment = sections.add(section::DATA, &segment);
    let mut count = Vec::new();
    put(&mut count, segment + 1);
    sections.set(section::DATA_COUNT, count);

    let start = starting(sections.body(section::START), pages, bytes.len(), segment);
    let mut entry = Vec::new();
    put(&mut entry, start.len() as u64);
    entry.extend_from_slice(&start);
    sections.add(section::CODE, &entry);
    // The type of a function that takes and returns nothing.
    let mut entry = Vec::new();
    put(&mut entry, sections.add(section::TYPE, &[0x60, 0, 0]));
    let mut body = Vec::new();
    put(&mut body, sections.add(section::FUNCTION, &entry));
    sections.set(section::START, body);

    for (name, value) in [("opa_wasm_abi_version", 1), ("opa_wasm_abi_minor_version", 3)] {
        // A constant of 32 bits.
        let global = sections.add(section::GLOBAL, &[0x7f, 0, 0x41, value, 0x0b]);
        let mut entry = Vec::new();
        put(&mut entry, name.len() as u64);
        entry.extend_from_slice(name.as_bytes());
        entry.push(3);
        put(&mut entry, global);
        sections.add(section::EXPORT, &entry);
    }
    sections.write(rules)
}

/// Returns the pages of the memory that is the only import.
fn imported_pages(mut body: &[u8]) -> usize {
    take(&mut body);
    for _ in ["module", "name"] {
        let length = take(&mut body) as usize;
        body = body.get(length..).unwrap_or_default();
    }
    // The kind of the import, and whether it has a limit.
    body = body.get(2..).unwrap_or_default();
    take(&mut body) as usize
}

/// Returns a function that begins as the code does, and copies a segment of a length behind some pages of memory, which
/// grows for it.
fn starting(before: Option<&[u8]>, pages: usize, length: usize, segment: u64) -> Vec<u8> {
    let needed = (pages + length.div_ceil(PAGE)) as i64;
    let constant = |out: &mut Vec<u8>, number: i64| {
        out.push(0x41);
        put_signed(out, number);
    };
    // No locals.
    let mut out = vec![0];
    if let Some(before) = before {
        out.push(0x10);
        out.extend_from_slice(before);
    }
    out.extend([0x3f, 0]); // memory.size
    constant(&mut out, needed);
    out.extend([0x49, 0x04, 0x40]); // i32.lt_u, if
    constant(&mut out, needed);
    out.extend([0x3f, 0, 0x6b, 0x40, 0]); // memory.size, i32.sub, memory.grow
    constant(&mut out, -1);
    out.extend([0x46, 0x04, 0x40, 0, 0x0b, 0x0b]); // i32.eq, if, unreachable, end, end
    constant(&mut out, (pages * PAGE) as i64);
    constant(&mut out, 0);
    constant(&mut out, length as i64);
    out.extend([0xfc, 0x08]); // memory.init
    put(&mut out, segment);
    out.extend([0, 0xfc, 0x09]); // data.drop
    put(&mut out, segment);
    out.push(0x0b);
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

/// Returns the memory section with room for some bytes more and the first allocations, and the pages that it had.
fn larger(mut body: &[u8], bytes: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    put(&mut out, take(&mut body));
    let flags = take(&mut body);
    let pages = take(&mut body) as usize;
    put(&mut out, flags);
    put(&mut out, (pages + bytes.div_ceil(PAGE) + HEAP) as u64);
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
