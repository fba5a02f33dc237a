//! What a proxy tells a filter, by the functions of proxy-wasm 0.2.1
//! (<https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>).

use std::net::{IpAddr, SocketAddr};

/// A call that succeeded.
const OK: i32 = 0;
const LOG_WARN: i32 = 3;
const LOG_CRITICAL: i32 = 5;
const DOWNSTREAM_DATA: i32 = 2;
const PLUGIN_CONFIGURATION: i32 = 7;
const REQUEST_HEADERS: i32 = 0;
const DOWNSTREAM: i32 = 2;
/// No status of gRPC.
const NO_GRPC: i32 = -1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: i32, text: *const u8, length: usize) -> i32;
    fn proxy_get_buffer_bytes(buffer: i32, start: usize, most: usize, at: *mut *mut u8, length: *mut usize) -> i32;
    fn proxy_get_property(path: *const u8, length: usize, at: *mut *mut u8, found: *mut usize) -> i32;
    fn proxy_get_header_map_pairs(map: i32, at: *mut *mut u8, length: *mut usize) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_length: usize,
        body: *const u8,
        body_length: usize,
        headers: *const u8,
        headers_length: usize,
        grpc: i32,
    ) -> i32;
    fn proxy_close_stream(stream: i32) -> i32;
}

/// Allocates memory for what the proxy hands over, which then owns it.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(length: usize) -> *mut u8 {
    let mut block = Vec::<u8>::new();
    // No pointer says that there is no memory.
    if block.try_reserve_exact(length.max(1)).is_err() {
        return core::ptr::null_mut();
    }
    core::mem::ManuallyDrop::new(block).as_mut_ptr()
}

/// Returns what a call hands over; `None` if it failed.
fn handed(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Option<Vec<u8>> {
    let (mut at, mut length) = (core::ptr::null_mut(), 0);
    if call(&raw mut at, &raw mut length) != OK {
        return None;
    }
    if at.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the proxy wrote so many bytes into a block that it got from `proxy_on_memory_allocate`, of this capacity.
    Some(unsafe { Vec::from_raw_parts(at, length, length.max(1)) })
}

/// Returns a property; `None` if there is none of this path.
fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    // SAFETY: the call reads the path, and writes both places.
    handed(|at, length| unsafe { proxy_get_property(path.as_ptr(), path.len(), at, length) })
}

/// Returns a property that is a text and not empty.
pub fn text(path: &[&str]) -> Option<String> {
    property(path).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty())
}

/// Returns the address and the port of one end of the connection.
pub fn address(end: &str) -> Option<(IpAddr, u16)> {
    let socket: SocketAddr = text(&[end, "address"])?.parse().ok()?;
    Some((socket.ip(), socket.port()))
}

/// Returns the configuration of the plugin.
pub fn configuration(length: usize) -> Vec<u8> {
    // SAFETY: the call writes both places.
    handed(|at, found| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, length, at, found) })
        .unwrap_or_default()
}

/// Returns what the client of a connection has sent so far, and nothing has read.
pub fn received(length: usize) -> Vec<u8> {
    // SAFETY: the call writes both places.
    handed(|at, found| unsafe { proxy_get_buffer_bytes(DOWNSTREAM_DATA, 0, length, at, found) }).unwrap_or_default()
}

/// Returns the headers of the request, those with `:` too: their number, the lengths of each name and value, and all of
/// them with a zero byte behind each.
pub fn headers() -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    // SAFETY: the call writes both places.
    let bytes = handed(|at, length| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, at, length) })?;
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word) as usize);
    let count = word(0)?;
    let mut start = count.checked_mul(8)?.checked_add(4)?;
    let mut take = |length: usize| {
        let found = bytes.get(start..start.checked_add(length)?)?.to_vec();
        start += length + 1;
        Some(found)
    };
    (0..count).map(|at| Some((take(word(4 + 8 * at)?)?, take(word(8 + 8 * at)?)?))).collect()
}

/// Writes a line to the proxy's log.
pub fn log(text: &str, is_critical: bool) {
    let level = if is_critical { LOG_CRITICAL } else { LOG_WARN };
    // SAFETY: the call reads the text.
    unsafe { proxy_log(level, text.as_ptr(), text.len()) };
}

/// Answers the request with 403.
pub fn forbid() {
    let (details, body) = ("netpol_denied", "denied by policy\n");
    // SAFETY: the call reads both texts, and no headers.
    unsafe {
        proxy_send_local_response(
            403,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            core::ptr::null(),
            0,
            NO_GRPC,
        )
    };
}

/// Closes the connection.
pub fn close() {
    // SAFETY: the call reads nothing.
    unsafe { proxy_close_stream(DOWNSTREAM) };
}
