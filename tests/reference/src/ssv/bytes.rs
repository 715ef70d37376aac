//! Base64 and the pieces of SSZ that SSV's messages are made of.

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes")]
pub struct ReadError;

/// Bytes of a base64 text.
///
/// # Errors
/// [`ReadError`] for letters outside the alphabet.
pub fn base64(text: &str) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(ReadError),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Ok(bytes)
}

/// A container with fixed fields, read from the front.
pub(super) struct Container<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Container<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    pub(super) fn fixed(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let end = self.at.checked_add(count).ok_or(ReadError)?;
        let bytes = self.all.get(self.at..end).ok_or(ReadError)?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64, ReadError> {
        let bytes = self.fixed(8)?.try_into().map_err(|_| ReadError)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn offset(&mut self) -> Result<usize, ReadError> {
        let bytes = self.fixed(4)?.try_into().map_err(|_| ReadError)?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| ReadError)
    }

    /// Bytes of a field of variable size.
    pub(super) fn field(&self, start: usize, end: Option<usize>) -> Result<&'a [u8], ReadError> {
        let end = end.unwrap_or(self.all.len());
        self.all.get(start..end).ok_or(ReadError)
    }
}

/// Items of a list whose items have variable size.
pub(super) fn list(bytes: &[u8]) -> Result<Vec<&[u8]>, ReadError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut container = Container::new(bytes);
    let first = container.offset()?;
    let mut offsets = vec![first];
    for _ in 1..first / 4 {
        offsets.push(container.offset()?);
    }
    offsets.push(bytes.len());
    let pairs = offsets.windows(2);
    let items = pairs.map(|pair| bytes.get(pair[0]..pair[1]).ok_or(ReadError));
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("bWVkaW5h"), Ok(b"medina".to_vec()));
        assert_eq!(base64("bWVkaQ=="), Ok(b"medi".to_vec()));
        assert_eq!(base64("no blank"), Err(ReadError));
    }

    #[test]
    fn lists_are_read_and_lies_refused() {
        let bytes = [8, 0, 0, 0, 10, 0, 0, 0, 1, 2, 3];
        assert_eq!(list(&bytes), Ok(vec![[1, 2].as_slice(), [3].as_slice()]));
        assert_eq!(list(&[8, 0, 0, 0, 99, 0, 0, 0, 1]), Err(ReadError));
        assert_eq!(list(&[255, 255, 255, 255]), Err(ReadError));
        assert_eq!(list(&[1]), Err(ReadError));
    }
}
