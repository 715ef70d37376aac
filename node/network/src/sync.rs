//! Block requests and answers: one stream per request, borsh in frames.

use crate::frame::{read_frame, write_frame};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use medina_types::{
    limits,
    wire::{self, SyncRequest, SyncResponse},
};
use std::io;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/medina/sync/2");

/// Bytes of an encoded [`SyncRequest`].
const REQUEST_BYTES: usize = 16;

/// The protocol's behaviour.
pub(crate) type SyncBehaviour = request_response::Behaviour<SyncCodec>;

/// What the behaviour reports.
pub(crate) type SyncEvent = request_response::Event<Asked, SyncResponse>;

/// A request as it was read. A malformed one is a value, not an error: the
/// library reports no errors of reading a request, and the sender must lose its
/// link.
pub(crate) type Asked = Result<SyncRequest, String>;

/// Bounds of requests, answers and their number.
pub(crate) fn behaviour() -> SyncBehaviour {
    let config = request_response::Config::default()
        .with_request_timeout(limits::SYNC_REQUEST_TIMEOUT)
        .with_max_concurrent_streams(limits::SYNC_REQUESTS_PER_PEER_MAX);
    SyncBehaviour::with_codec(SyncCodec, [(PROTOCOL, ProtocolSupport::Full)], config)
}

/// Whether an answer is one to this request.
pub(crate) fn is_answer_to(request: SyncRequest, response: &SyncResponse) -> bool {
    u64::try_from(response.blocks.len()).is_ok_and(|blocks| blocks <= request.count)
}

/// Whether a request may be asked at all.
pub(crate) fn is_within_bounds(request: SyncRequest) -> bool {
    (1..=limits::SYNC_BLOCKS_MAX).contains(&request.count)
}

/// Reads and writes requests and answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncCodec;

impl request_response::Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Asked;
    type Response = SyncResponse;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked>
    where
        T: AsyncRead + Unpin + Send,
    {
        let read = read_frame(io, REQUEST_BYTES).await;
        match read.and_then(|frame| decode(&frame, REQUEST_BYTES)) {
            Ok(request) => Ok(Ok(request)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<SyncResponse>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes_max = limits::SYNC_ANSWER_BYTES_MAX;
        decode(&read_frame(io, bytes_max).await?, bytes_max)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Asked,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.map_err(io::Error::other)?;
        write_frame(io, &wire::encode(&request)).await?;
        io.close().await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: SyncResponse,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let frame = wire::encode(&response);
        drop(response);
        write_frame(io, &frame).await?;
        io.close().await
    }
}

fn decode<T: borsh::BorshDeserialize>(bytes: &[u8], bytes_max: usize) -> io::Result<T> {
    wire::decode(bytes, bytes_max)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec;
    use medina_types::Height;
    use proptest::prelude::*;

    #[test]
    fn request_with_something_behind_is_malformed() {
        let mut frame = wire::encode(&SyncRequest {
            from: Height(1),
            count: 2,
        });
        assert_eq!(frame.len(), REQUEST_BYTES);
        frame.push(0);
        let mut io = Cursor::new(Vec::new());
        block_on(write_frame(&mut io, &frame)).expect("memory");
        io.set_position(0);
        let asked = block_on(SyncCodec.read_request(&PROTOCOL, &mut io)).expect("read");
        assert!(asked.is_err());
    }

    #[test]
    fn bounds_of_a_request_are_checked() {
        let request = |count| SyncRequest {
            from: Height(1),
            count,
        };
        assert!(is_within_bounds(request(limits::SYNC_BLOCKS_MAX)));
        assert!(!is_within_bounds(request(limits::SYNC_BLOCKS_MAX + 1)));
        assert!(!is_within_bounds(request(0)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = block_on(SyncCodec.read_response(&PROTOCOL, &mut Cursor::new(&bytes)));
            let _ = block_on(SyncCodec.read_request(&PROTOCOL, &mut Cursor::new(&bytes)));
        }
    }
}
