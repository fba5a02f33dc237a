//! Bytes that are read from the front. What is not there reads as 0, and as nothing.

/// Some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'t>(pub &'t [u8]);

impl<'t> Bytes<'t> {
    /// Returns the next number, of variable length.
    pub fn number(&mut self) -> u32 {
        let mut number = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte();
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    /// Returns the next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Returns the next bytes.
    pub fn take(&mut self, count: usize) -> &'t [u8] {
        let (taken, rest) = self.0.split_at_checked(count).unwrap_or((&[], &[]));
        self.0 = rest;
        taken
    }
}

/// Writes a number in variable length.
pub fn put(out: &mut Vec<u8>, mut number: u32) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
