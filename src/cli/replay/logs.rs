//! Logs: files and stdin as lines; gzip and zstd are recognised by their first bytes and unpacked.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::Fatal;
use crate::cli::reason;

/// The longest line, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// The first bytes of gzip (RFC 1952) and of a frame of zstd (RFC 8878).
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A log.
pub struct Log {
    lines: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    read: Rc<Cell<u64>>,
    size: Option<u64>,
}

/// The next piece of a log.
pub enum Next<'l> {
    /// A line, with its end.
    Line(&'l [u8]),
    /// A line that is too long.
    TooLong,
    /// A read error: the rest of the log cannot be read.
    Broken(String),
    /// The end of the log.
    End,
}

impl Log {
    /// Opens a log.
    pub fn open(path: &Path) -> Result<Log, Fatal> {
        if path.as_os_str() == "-" {
            return Log::of(io::stdin(), None).map_err(|error| Fatal::io("cannot read stdin", error));
        }
        let file = File::open(path).map_err(|error| Fatal::cannot_read(path, error))?;
        let size = file.metadata().ok().filter(|data| data.is_file()).map(|data| data.len());
        Log::of(file, size).map_err(|error| Fatal::cannot_read(path, error))
    }

    fn of(from: impl Read + 'static, size: Option<u64>) -> io::Result<Log> {
        let read = Rc::new(Cell::new(0));
        let mut bytes = BufReader::with_capacity(1 << 16, Counted { from, read: read.clone() });
        let first = bytes.fill_buf()?;
        let unpacked: Box<dyn Read> = if first.starts_with(GZIP) {
            Box::new(MultiGzDecoder::new(bytes))
        } else if first.starts_with(ZSTD) {
            Box::new(Frames { rest: Some(bytes), frame: None })
        } else {
            Box::new(bytes)
        };
        Ok(Log { lines: BufReader::with_capacity(1 << 18, unpacked), line: Vec::new(), read, size })
    }

    /// Returns how much of the log is read, in percent, if its size is known.
    pub fn part(&self) -> Option<u64> {
        let size = self.size.filter(|size| *size > 0)?;
        Some((self.read.get() * 100 / size).min(100))
    }

    /// Returns the next line.
    pub fn next(&mut self) -> Next<'_> {
        self.line.clear();
        match self.lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line) {
            Ok(0) => Next::End,
            Ok(_) if self.line.len() as u64 == LONGEST_LINE && !self.line.ends_with(b"\n") => {
                match self.lines.skip_until(b'\n') {
                    Ok(_) => Next::TooLong,
                    Err(error) => Next::Broken(reason(&error)),
                }
            }
            Ok(_) => Next::Line(&self.line),
            Err(error) => Next::Broken(reason(&error)),
        }
    }
}

/// A reader that counts what is read.
struct Counted<R> {
    from: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// The frames of zstd, one after the other: a file that was appended to has several.
struct Frames<R: BufRead> {
    rest: Option<R>,
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                self.rest = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut rest) = self.rest.take() else { return Ok(0) };
            if rest.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(rest).map_err(io::Error::other)?);
        }
    }
}
