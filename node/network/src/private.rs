//! Requests between the parties of private groups: one stream each, opaque bytes.
//!
//! The network knows who asks (the node key of the link) and bounds what passes;
//! what the bytes mean is the business of whoever answers. Whoever asks too much
//! or too large gets no answer and keeps its link: the same node may be a
//! validator, and the public chain never waits for private affairs.

use crate::frame::{read_frame, write_frame};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use medina_types::limits;
use std::io;
use tokio::sync::oneshot;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/medina/private/1");

/// The protocol's behaviour.
pub(crate) type PrivateBehaviour = request_response::Behaviour<PrivateCodec>;

/// What the behaviour reports.
pub(crate) type PrivateEvent = request_response::Event<Vec<u8>, Vec<u8>>;

/// Bounds of time and number.
pub(crate) fn behaviour() -> PrivateBehaviour {
    let config = request_response::Config::default()
        .with_request_timeout(limits::PRIVATE_REQUEST_TIMEOUT)
        .with_max_concurrent_streams(limits::PRIVATE_REQUESTS_PER_PEER_MAX);
    PrivateBehaviour::with_codec(PrivateCodec, [(PROTOCOL, ProtocolSupport::Full)], config)
}

/// Takes the answer to one private request.
#[derive(Debug)]
pub struct PrivateReply(oneshot::Sender<Vec<u8>>);

impl PrivateReply {
    /// A reply and where its answer arrives.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. A peer that is gone meanwhile is no error; an answer beyond
    /// [`limits::PRIVATE_ANSWER_BYTES_MAX`] is not sent.
    pub fn send(self, answer: Vec<u8>) {
        if answer.len() <= limits::PRIVATE_ANSWER_BYTES_MAX {
            let _ = self.0.send(answer);
        }
    }
}

/// Reads and writes requests and answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrivateCodec;

impl request_response::Codec for PrivateCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, limits::PRIVATE_REQUEST_BYTES_MAX).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, limits::PRIVATE_ANSWER_BYTES_MAX).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &request).await?;
        io.close().await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &answer).await?;
        io.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};
    use libp2p::request_response::Codec;

    #[test]
    fn request_beyond_the_bound_is_not_read() {
        let claimed = u32::try_from(limits::PRIVATE_REQUEST_BYTES_MAX + 1).expect("small");
        let mut io = Cursor::new(claimed.to_be_bytes().to_vec());
        let read = block_on(PrivateCodec.read_request(&PROTOCOL, &mut io));
        assert_eq!(
            read.map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
    }

    #[test]
    fn answer_beyond_the_bound_is_not_sent() {
        let (reply, mut answer) = PrivateReply::new();
        reply.send(vec![0; limits::PRIVATE_ANSWER_BYTES_MAX + 1]);
        assert!(answer.try_recv().is_err());
        let (reply, mut answer) = PrivateReply::new();
        reply.send(vec![0; limits::PRIVATE_ANSWER_BYTES_MAX]);
        assert!(answer.try_recv().is_ok());
    }
}
