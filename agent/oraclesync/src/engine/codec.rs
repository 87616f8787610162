//! The engine's messages as versioned postcard. Decoders see hostile bytes.

mod messages;

use std::sync::Arc;

use arc_malachitebft_app_channel::app::engine::util::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::{
    PeerId, ProposedValue, SignedConsensusMsg,
    codec::{Codec, HasEncodedLen},
    streaming::{StreamId, StreamMessage},
    sync::{RawDecidedValue, Request, Response, Status},
};
use arc_malachitebft_core_types::{PolkaCertificate, SignedMessage, ValidatorProof, Validity};
use arc_malachitebft_sync::{ValueRequest, ValueResponse};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use self::messages::{
    WireMsg, WirePart, WirePolka, WireProposal, WireProposed, WireRound, WireStream, WireVote, address, bad,
    bytes_of, round_of, signature,
};
use super::context::{
    Height, OracleContext, Part, ValueId, Vote, certificate_from_engine, certificate_to_engine, from_engine,
};
use crate::{
    Certificate, DecodeError, Signature,
    certificate::WireCertificate,
    store::MAX_DECIDED_PER_ANSWER,
    wire::{self, MAX_BLOCK_BYTES},
};

type LivenessMsg = arc_malachitebft_app_channel::app::consensus::LivenessMsg<OracleContext>;
type Ctx = OracleContext;

/// Most bytes of a vote, proposal, status, request or validator proof.
const MAX_SMALL_BYTES: usize = 4 << 10;
/// Most bytes of a certificate of a round or polka.
const MAX_VOTES_BYTES: usize = 64 << 10;
/// Most bytes of a proposal part.
pub const MAX_PART_BYTES: usize = MAX_BLOCK_BYTES + (4 << 10);
/// Most bytes of a sync answer.
pub const MAX_RESPONSE_BYTES: usize = 10 << 20;
/// Most bytes of a stream's name.
const MAX_STREAM_ID_BYTES: usize = 64;

/// The codec. It also notes the highest height that a peer says it has decided or votes about: an idle oracle waits
/// between heights with its engine halted, and this is how it hears that the others go on. Only oracles are connected,
/// and a lie opens heights early, in which nothing is decided, and does nothing else.
#[derive(Clone)]
pub struct WireCodec {
    pub peer_height: Arc<watch::Sender<u64>>,
}

impl WireCodec {
    fn note(&self, height: u64) {
        self.peer_height.send_if_modified(|known| {
            let higher = height > *known;
            *known = height.max(*known);
            higher
        });
    }

    fn vote(&self, vote: WireVote) -> Result<SignedMessage<Ctx, Vote>, DecodeError> {
        self.note(vote.height);
        vote.open()
    }
}

#[derive(Serialize, Deserialize)]
enum WireLiveness {
    Vote(WireVote),
    Polka(WirePolka),
    Skip(WireRound),
}

/// Bytes of a part for the store.
pub fn encode_part(part: &Part) -> Vec<u8> {
    wire::encode(&WirePart::new(part))
}

/// Reads a stored or received part.
pub fn decode_part(bytes: &[u8]) -> Result<Part, DecodeError> {
    wire::decode::<WirePart>("proposal part", bytes, MAX_PART_BYTES)?.open()
}

/// The bytes of two signed votes or proposals that contradict each other.
pub fn encode_evidence<'a>(pair: impl IntoIterator<Item = &'a SignedConsensusMsg<Ctx>>) -> Vec<u8> {
    wire::encode(&pair.into_iter().map(wire_msg).collect::<Vec<_>>())
}

fn wire_msg(msg: &SignedConsensusMsg<Ctx>) -> WireMsg {
    match msg {
        SignedConsensusMsg::Vote(vote) => WireMsg::Vote(WireVote::new(vote)),
        SignedConsensusMsg::Proposal(proposal) => WireMsg::Proposal(WireProposal::new(proposal)),
    }
}

fn small<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &Bytes) -> Result<T, DecodeError> {
    wire::decode(what, bytes, MAX_SMALL_BYTES)
}

macro_rules! codec {
    ($type:ty, |$codec:ident, $bytes:ident| $decode:expr, |$msg:ident| $encode:expr) => {
        impl Codec<$type> for WireCodec {
            type Error = DecodeError;

            fn decode(&self, $bytes: Bytes) -> Result<$type, DecodeError> {
                let $codec = self;
                $decode
            }

            fn encode(&self, $msg: &$type) -> Result<Bytes, DecodeError> {
                Ok(wire::encode(&$encode).into())
            }
        }
    };
}

codec!(Part, |_codec, bytes| decode_part(&bytes), |part| WirePart::new(
    part
));

codec!(
    SignedConsensusMsg<Ctx>,
    |codec, bytes| match small("consensus message", &bytes)? {
        WireMsg::Vote(vote) => Ok(SignedConsensusMsg::Vote(codec.vote(vote)?)),
        WireMsg::Proposal(proposal) => {
            codec.note(proposal.height);
            Ok(SignedConsensusMsg::Proposal(proposal.open()?))
        }
    },
    |msg| wire_msg(msg)
);

codec!(
    StreamMessage<Part>,
    |_codec, bytes| {
        let stream: WireStream = wire::decode("proposal stream", &bytes, MAX_PART_BYTES)?;
        wire::at_most(
            "proposal stream",
            "bytes of a name",
            stream.id.len(),
            MAX_STREAM_ID_BYTES,
        )?;
        let content = match stream.part {
            Some(part) => StreamContent::Data(part.open()?),
            None => StreamContent::Fin,
        };
        Ok(StreamMessage::new(
            StreamId::new(stream.id.into()),
            stream.sequence,
            content,
        ))
    },
    |msg| WireStream {
        id: msg.stream_id.to_bytes().to_vec(),
        sequence: msg.sequence,
        part: msg.content.as_data().map(WirePart::new),
    }
);

codec!(
    LivenessMsg,
    |codec, bytes| match wire::decode("liveness message", &bytes, MAX_VOTES_BYTES)? {
        WireLiveness::Vote(vote) => Ok(LivenessMsg::Vote(codec.vote(vote)?)),
        WireLiveness::Polka(polka) => Ok(LivenessMsg::PolkaCertificate(polka.open()?)),
        WireLiveness::Skip(round) => Ok(LivenessMsg::SkipRoundCertificate(round.open()?)),
    },
    |msg| match msg {
        LivenessMsg::Vote(vote) => WireLiveness::Vote(WireVote::new(vote)),
        LivenessMsg::PolkaCertificate(polka) => WireLiveness::Polka(WirePolka::new(polka)),
        LivenessMsg::SkipRoundCertificate(round) => WireLiveness::Skip(WireRound::new(round)),
    }
);

codec!(
    ValidatorProof<Ctx>,
    |_codec, bytes| {
        let (key, peer, raw): (Vec<u8>, Vec<u8>, Signature) = small("validator proof", &bytes)?;
        Ok(ValidatorProof::new(
            key,
            peer,
            signature("validator proof", &raw)?,
        ))
    },
    |proof| (&proof.public_key, &proof.peer_id, from_engine(&proof.signature))
);

codec!(
    PolkaCertificate<Ctx>,
    |_codec, bytes| wire::decode::<WirePolka>("polka", &bytes, MAX_VOTES_BYTES)?.open(),
    |polka| WirePolka::new(polka)
);

codec!(
    ProposedValue<Ctx>,
    |_codec, bytes| {
        let wire: WireProposed = small("proposed value", &bytes)?;
        Ok(ProposedValue {
            height: Height(wire.height),
            round: round_of(wire.round),
            valid_round: round_of(wire.valid_round),
            proposer: address(wire.proposer),
            value: ValueId(wire.value),
            validity: Validity::from_bool(wire.valid),
        })
    },
    |proposed| WireProposed {
        height: proposed.height.0,
        round: proposed.round.as_u32(),
        valid_round: proposed.valid_round.as_u32(),
        proposer: bytes_of(&proposed.proposer),
        value: proposed.value.0,
        valid: proposed.validity.is_valid(),
    }
);

codec!(
    Status<Ctx>,
    |codec, bytes| {
        let (peer, tip, first): (Vec<u8>, u64, u64) = small("status", &bytes)?;
        let peer_id = PeerId::from_bytes(&peer).map_err(|_| bad("status", "not a peer id"))?;
        codec.note(tip);
        Ok(Status {
            peer_id,
            tip_height: Height(tip),
            history_min_height: Height(first),
        })
    },
    |status| (
        status.peer_id.to_bytes(),
        status.tip_height.0,
        status.history_min_height.0
    )
);

codec!(
    Request<Ctx>,
    |_codec, bytes| {
        let (first, last): (u64, u64) = small("sync request", &bytes)?;
        Ok(Request::ValueRequest(ValueRequest::new(
            Height(first)..=Height(last),
        )))
    },
    |request| match request {
        Request::ValueRequest(request) => (request.range.start().0, request.range.end().0),
    }
);

codec!(
    Response<Ctx>,
    |_codec, bytes| {
        let (start, values): (u64, Vec<(Vec<u8>, WireCertificate)>) =
            wire::decode("sync response", &bytes, MAX_RESPONSE_BYTES)?;
        wire::at_most("sync response", "values", values.len(), MAX_DECIDED_PER_ANSWER)?;
        let open = |(payload, certificate): (Vec<u8>, WireCertificate)| {
            let certificate = certificate_to_engine(&Certificate::from_wire(certificate)?)
                .ok_or(bad("sync response", "signature is out of range"))?;
            Ok(RawDecidedValue::new(payload.into(), certificate))
        };
        let values = values.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Response::ValueResponse(ValueResponse::new(Height(start), values)))
    },
    |response| {
        let Response::ValueResponse(response) = response;
        let values: Vec<_> = response.values.iter().filter_map(wire_value).collect();
        (response.start_height.0, values)
    }
);

fn wire_value(value: &RawDecidedValue<Ctx>) -> Option<(Vec<u8>, WireCertificate)> {
    let certificate = certificate_from_engine(&value.certificate.trim_vote_extensions())?;
    Some((value.value_bytes.to_vec(), certificate.to_wire()))
}

impl HasEncodedLen<Response<Ctx>> for WireCodec {
    fn encoded_len(&self, response: &Response<Ctx>) -> Result<usize, DecodeError> {
        Ok(Codec::encode(self, response)?.len())
    }
}

#[cfg(test)]
mod tests;
