//! Negotiates the streams of one connection and hands them to its supervisor.

use super::Lane;
use futures::future::{self, Ready};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use medina_types::limits;
use std::{
    convert::Infallible,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// What happened to the streams of a connection.
pub(crate) enum Report {
    /// Our stream stands: we write on it.
    Opened { lane: Lane, stream: Stream },
    /// The peer's stream stands: we read from it.
    Accepted { lane: Lane, stream: Stream },
    /// The peer does not take our stream.
    Failed { lane: Lane, reason: String },
}

/// Reports a connection may make before its supervisor reads them: two streams
/// each way and as many again; more streams than that are dropped.
const REPORTS_MAX: usize = 8;

/// Where the reports of one connection go.
pub(crate) fn reports() -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    mpsc::channel(REPORTS_MAX)
}

/// Opens both lanes at once and accepts the peer's.
pub(crate) struct LinkHandler {
    to_open: Vec<Lane>,
    reports: mpsc::Sender<Report>,
}

impl LinkHandler {
    pub(crate) fn new(reports: mpsc::Sender<Report>) -> Self {
        Self {
            to_open: Lane::ALL.to_vec(),
            reports,
        }
    }

    fn report(&self, report: Report) {
        // Full: the peer opens streams in excess, which end here. Closed: the
        // supervisor has given up and the connection is about to end.
        let _ = self.reports.try_send(report);
    }
}

/// Takes a stream of one of these lanes as it is.
#[derive(Clone, Debug)]
pub(crate) struct LaneUpgrade(Vec<Lane>);

impl UpgradeInfo for LaneUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0
            .iter()
            .map(|lane| lane.protocol())
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl InboundUpgrade<Stream> for LaneUpgrade {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        future::ready(Ok((lane_of(&protocol), stream)))
    }
}

impl OutboundUpgrade<Stream> for LaneUpgrade {
    type Output = (Lane, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        future::ready(Ok((lane_of(&protocol), stream)))
    }
}

fn lane_of(protocol: &StreamProtocol) -> Lane {
    if *protocol == Lane::Consensus.protocol() {
        Lane::Consensus
    } else {
        Lane::Bulk
    }
}

impl ConnectionHandler for LinkHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = LaneUpgrade;
    type OutboundProtocol = LaneUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Lane;

    fn listen_protocol(&self) -> SubstreamProtocol<LaneUpgrade, ()> {
        SubstreamProtocol::new(LaneUpgrade(Lane::ALL.to_vec()), ())
            .with_timeout(limits::PEER_HANDSHAKE_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<LaneUpgrade, Lane, Infallible>> {
        match self.to_open.pop() {
            Some(lane) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(LaneUpgrade(vec![lane]), lane)
                    .with_timeout(limits::PEER_HANDSHAKE_TIMEOUT),
            }),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, LaneUpgrade, LaneUpgrade, (), Lane>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (lane, stream),
                ..
            }) => self.report(Report::Accepted { lane, stream }),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (lane, stream),
                ..
            }) => self.report(Report::Opened { lane, stream }),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: lane, error }) => {
                self.report(Report::Failed {
                    lane,
                    reason: error.to_string(),
                });
            }
            // A stream that the peer could not negotiate is its loss; without a
            // status the supervisor ends the connection in time.
            _ => {}
        }
    }
}
