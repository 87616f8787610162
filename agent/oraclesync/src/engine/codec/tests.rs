use arc_malachitebft_core_types::{Context as _, Value as _};
use proptest::prelude::*;

use arc_malachitebft_core_types::{NilOrVal, PolkaSignature, Round, RoundCertificate, RoundCertificateType};

use super::*;
use crate::{
    OracleKey,
    engine::context::{Address, EngineSignature, to_engine},
};

fn codec() -> WireCodec {
    WireCodec {
        peer_height: Arc::new(watch::Sender::new(0)),
    }
}

fn sign(seed: u8) -> (Address, EngineSignature) {
    let key = OracleKey::from_secret(&[seed; 32]).unwrap();
    (Address(key.eth()), to_engine(&key.sign(&[seed; 32])).unwrap())
}

fn vote(seed: u8) -> SignedMessage<Ctx, Vote> {
    let (address, signature) = sign(seed);
    let value = if seed.is_multiple_of(2) {
        NilOrVal::Nil
    } else {
        NilOrVal::Val(ValueId([seed; 32]))
    };
    SignedMessage::new(
        OracleContext.new_precommit(Height(7), Round::new(3), value, address),
        signature,
    )
}

fn back<T: PartialEq + std::fmt::Debug>(message: T)
where
    WireCodec: Codec<T, Error = DecodeError>,
{
    let bytes = codec().encode(&message).unwrap();
    assert_eq!(Codec::<T>::decode(&codec(), bytes), Ok(message));
}

#[test]
fn every_message_is_read_back() {
    let (who, signature) = sign(1);
    let proposal = OracleContext.new_proposal(Height(7), Round::new(3), ValueId([1; 32]), Round::Nil, who);
    back(SignedConsensusMsg::Vote(vote(1)));
    back(SignedConsensusMsg::Vote(vote(2)));
    back(SignedConsensusMsg::Proposal(SignedMessage::new(
        proposal,
        signature.clone(),
    )));
    let round =
        |kind| RoundCertificate::new_from_votes(Height(7), Round::new(3), kind, vec![vote(1), vote(2)]);
    let polka = PolkaCertificate {
        height: Height(7),
        round: Round::new(3),
        value_id: ValueId([1; 32]).id(),
        polka_signatures: vec![PolkaSignature::new(who, signature.clone())],
    };
    back(LivenessMsg::Vote(vote(1)));
    back(LivenessMsg::PolkaCertificate(polka.clone()));
    back(LivenessMsg::SkipRoundCertificate(round(
        RoundCertificateType::Skip,
    )));
    back(LivenessMsg::SkipRoundCertificate(round(
        RoundCertificateType::Precommit,
    )));
    back(polka);
    back(ValidatorProof::<Ctx>::new(vec![2; 33], vec![3; 39], signature));
    back(crate::engine::parts::proposed_value(7, 3, who, [1; 32], true));
    back(Request::<Ctx>::ValueRequest(ValueRequest::new(
        Height(3)..=Height(9),
    )));
    let part = Part {
        height: 7,
        round: 3,
        proposer: who.0,
        payload: vec![1, 2].into(),
        signature: Signature::from_bytes(&[5; 64]),
    };
    back(part.clone());
    back(crate::engine::parts::stream(part));
    back(StreamMessage::<Part>::new(
        StreamId::new(vec![1].into()),
        1,
        StreamContent::Fin,
    ));
    let raw = from_engine(&sign(2).1);
    let certificate = Certificate {
        height: 7,
        round: 3,
        value_id: [1; 32],
        signatures: vec![(sign(2).0.0, raw)],
    };
    let value = RawDecidedValue::new(vec![1, 2].into(), certificate_to_engine(&certificate).unwrap());
    back(Response::ValueResponse(ValueResponse::new(
        Height(7),
        vec![value],
    )));
}

#[test]
fn statuses_and_votes_tell_where_the_peers_are() {
    let codec = codec();
    let key = OracleKey::from_secret(&[1; 32]).unwrap();
    let peer_id = PeerId::from_bytes(&crate::engine::peer_id(&key.node()).unwrap().to_bytes()).unwrap();
    let status = Status {
        peer_id,
        tip_height: Height(9),
        history_min_height: Height(1),
    };
    let bytes = codec.encode(&status).unwrap();
    assert_eq!(Codec::<Status<Ctx>>::decode(&codec, bytes), Ok(status));
    assert_eq!(*codec.peer_height.borrow(), 9);
    let early = codec.encode(&SignedConsensusMsg::Vote(vote(1))).unwrap();
    Codec::<SignedConsensusMsg<Ctx>>::decode(&codec, early).unwrap();
    assert_eq!(*codec.peer_height.borrow(), 9, "never back");
    let codec = self::codec();
    let bytes = codec.encode(&LivenessMsg::Vote(vote(1))).unwrap();
    Codec::<LivenessMsg>::decode(&codec, bytes).unwrap();
    assert_eq!(*codec.peer_height.borrow(), 7);
}

proptest! {
    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = wire::VERSION;
        }
        let (codec, bytes) = (codec(), Bytes::from(bytes));
        let _ = Codec::<Part>::decode(&codec, bytes.clone());
        let _ = Codec::<SignedConsensusMsg<Ctx>>::decode(&codec, bytes.clone());
        let _ = Codec::<StreamMessage<Part>>::decode(&codec, bytes.clone());
        let _ = Codec::<LivenessMsg>::decode(&codec, bytes.clone());
        let _ = Codec::<ValidatorProof<Ctx>>::decode(&codec, bytes.clone());
        let _ = Codec::<ProposedValue<Ctx>>::decode(&codec, bytes.clone());
        let _ = Codec::<Status<Ctx>>::decode(&codec, bytes.clone());
        let _ = Codec::<Request<Ctx>>::decode(&codec, bytes.clone());
        let _ = Codec::<Response<Ctx>>::decode(&codec, bytes);
    }
}
