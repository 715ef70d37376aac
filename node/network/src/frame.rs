//! Frames on a stream: four bytes of length, big endian, then the bytes.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;

/// A frame grows by this much as its bytes arrive, so that a claimed length
/// costs no memory.
const GROWTH_BYTES: usize = 64 * 1024;

/// Frames up to this size are copied behind their length and written at once.
const JOINED_BYTES_MAX: usize = 16 * 1024;

/// Reads one frame of at most `bytes_max` bytes.
///
/// # Errors
/// `InvalidData` when the frame is larger: the sender's fault. Else what the
/// stream says.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(
    io: &mut R,
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        let text = format!("frame of {length} bytes, limit {bytes_max}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut frame = Vec::new();
    while frame.len() < length {
        let read = frame.len();
        frame.resize(length.min(read + GROWTH_BYTES), 0);
        io.read_exact(&mut frame[read..]).await?;
    }
    Ok(frame)
}

/// Writes one frame; the caller flushes.
///
/// # Errors
/// What the stream says; `InvalidInput` beyond 4 GiB.
pub(crate) async fn write_frame<W: AsyncWrite + Unpin>(io: &mut W, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "frame beyond 4 GiB"))?
        .to_be_bytes();
    if frame.len() <= JOINED_BYTES_MAX {
        let mut joined = Vec::with_capacity(4 + frame.len());
        joined.extend_from_slice(&length);
        joined.extend_from_slice(frame);
        return io.write_all(&joined).await;
    }
    io.write_all(&length).await?;
    io.write_all(frame).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    #[test]
    fn oversized_claim_is_refused_before_any_byte_is_kept() {
        let mut io = Cursor::new(vec![0xff; 8]);
        let error = block_on(read_frame(&mut io, 100)).expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = block_on(read_frame(&mut Cursor::new(bytes), 48));
        }

        #[test]
        fn frames_read_back_in_order(
            sizes in proptest::collection::vec(0_usize..200_000, 1..4)
        ) {
            let mut io = Cursor::new(Vec::new());
            for &size in &sizes {
                block_on(write_frame(&mut io, &vec![7; size])).expect("memory");
            }
            io.set_position(0);
            for &size in &sizes {
                prop_assert_eq!(block_on(read_frame(&mut io, 200_000)).expect("frame").len(), size);
            }
        }
    }
}
