//! The two promises of the sealed delivery, against random cheats: an honest seller is never refunded against, an
//! honest buyer never pays for a wrong chunk. Every phase may also just time out.

use crate::{
    harness::Chain,
    sealed::{BUYER, DELIVER_IN, PRICE, SELLER, Scene, WINDOW, dataset, key, listing},
};
use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolValue;
use medina_contracts::{
    data_marketplace::DataMarketplace, sealed_delivery::SealedDelivery::*, values::OrderState,
};
use medina_sdk::{
    merkle::MerkleTree,
    sealed::{Dataset, Opened, Package, key_hash},
};
use proptest::{prelude::*, sample::Index};

/// How a seller deceives, before the offer or by silence.
#[derive(Clone, Debug)]
enum Deceit {
    None,
    /// A bit of a sealed word differs.
    Bit {
        chunk: Index,
        word: Index,
        bit: u8,
    },
    /// Two chunks change places.
    Exchange {
        one: Index,
        other: Index,
    },
    /// The chunk is another length.
    Shorter {
        chunk: Index,
    },
    Longer {
        chunk: Index,
    },
    /// More words than the judge looks at.
    Overlong {
        chunk: Index,
    },
    /// Another promise than the listing's.
    OtherHash {
        chunk: Index,
    },
    /// One chunk more or less than promised.
    Missing,
    Extra,
    /// The listing's tree has a second, wrong leaf for one index.
    TwoPromises {
        chunk: Index,
    },
    /// Sealed with another key than the one that is revealed.
    OtherKey,
    /// The offer names another ciphertext than the one sent.
    OtherRoot,
    NoOffer,
    NoReveal,
    LateReveal,
}

fn deceit() -> impl Strategy<Value = Deceit> {
    let place = any::<Index>;
    prop_oneof![
        2 => Just(Deceit::None),
        4 => (place(), place(), any::<u8>())
            .prop_map(|(chunk, word, bit)| Deceit::Bit { chunk, word, bit }),
        2 => (place(), place()).prop_map(|(one, other)| Deceit::Exchange { one, other }),
        1 => place().prop_map(|chunk| Deceit::Shorter { chunk }),
        1 => place().prop_map(|chunk| Deceit::Longer { chunk }),
        1 => place().prop_map(|chunk| Deceit::Overlong { chunk }),
        1 => place().prop_map(|chunk| Deceit::OtherHash { chunk }),
        1 => Just(Deceit::Missing),
        1 => Just(Deceit::Extra),
        2 => place().prop_map(|chunk| Deceit::TwoPromises { chunk }),
        2 => Just(Deceit::OtherKey),
        1 => Just(Deceit::OtherRoot),
        1 => Just(Deceit::NoOffer),
        1 => Just(Deceit::NoReveal),
        1 => Just(Deceit::LateReveal),
    ]
}

impl Deceit {
    /// What is sent, and the root that is offered for it.
    fn package(&self, plain: &Dataset) -> (Package, B256) {
        let mut package = plain.seal(key());
        let count = package.chunks.len();
        match self {
            Self::Bit { chunk, word, bit } => {
                let chunk = &mut package.chunks[chunk.index(count)];
                let word = word.index(chunk.len());
                chunk[word].0[usize::from(bit / 8)] ^= 1 << (bit % 8);
            }
            Self::Exchange { one, other } => {
                package.chunks.swap(one.index(count), other.index(count));
            }
            Self::Shorter { chunk } => {
                package.chunks[chunk.index(count)].pop();
            }
            Self::Longer { chunk } => package.chunks[chunk.index(count)].push(B256::ZERO),
            Self::Overlong { chunk } => package.chunks[chunk.index(count)].resize(40, B256::ZERO),
            Self::OtherHash { chunk } => package.hashes[chunk.index(count)] = B256::ZERO,
            Self::Missing => {
                package.chunks.pop();
            }
            Self::Extra => package.chunks.push(vec![B256::ZERO]),
            Self::TwoPromises { chunk } => {
                let chunk = &mut package.chunks[chunk.index(count)];
                chunk[0].0[0] ^= 1;
            }
            Self::OtherKey => package = plain.seal(keccak256("another key")),
            Self::None | Self::OtherRoot | Self::NoOffer | Self::NoReveal | Self::LateReveal => {}
        }
        let root = match self {
            Self::OtherRoot => keccak256("another root"),
            _ => package.root().unwrap(),
        };
        (package, root)
    }
}

/// An honest buyer does as the guide says; what it knows is what was sent and what is on chain.
fn buyer_accepts(package: &Package, subject: B256, cipher_root: B256) -> bool {
    package.check(subject, cipher_root).is_ok()
}

fn credit(chain: &Chain, index: usize) -> u128 {
    chain.credit(chain.account(index))
}

/// The subject of a listing whose tree says two things about one chunk.
fn subject(deceit: &Deceit, plain: &Dataset) -> B256 {
    let Deceit::TwoPromises { chunk } = deceit else {
        return plain.root().unwrap();
    };
    let leaf = |(index, h): (u32, B256)| keccak256(keccak256((index, h).abi_encode()));
    let hashes = plain.hashes();
    let place = u32::try_from(chunk.index(hashes.len())).expect("few chunks");
    let promised = (0_u32..).zip(hashes);
    let again = [(place, keccak256("what was sent instead"))];
    let leaves = promised.chain(again).map(leaf).collect();
    MerkleTree::new(leaves).unwrap().root()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn honest_buyer_never_pays_for_a_wrong_chunk(deceit in deceit()) {
        let mut chain = Chain::new();
        let at = chain.at.sealed_delivery;
        let plain = dataset();
        let subject = subject(&deceit, &plain);
        let id = chain.list(SELLER, listing(&chain, subject));
        let order = chain.buy(BUYER, id, PRICE);
        let (package, cipher_root) = deceit.package(&plain);
        if !matches!(deceit, Deceit::NoOffer) {
            let offer = offerCall { order, cipherRoot: cipher_root, keyHash: key_hash(key()) };
            chain.ok(SELLER, at, &offer);
            if buyer_accepts(&package, subject, cipher_root) {
                chain.ok(BUYER, at, &acceptCall { order });
            }
            if matches!(deceit, Deceit::LateReveal) {
                chain.warp(DELIVER_IN + 1);
            }
            if !matches!(deceit, Deceit::NoReveal) {
                // A seller may try what it likes.
                chain.call(chain.account(SELLER), at, &revealCall { order, key: key() });
            }
        }
        let seal = chain.view(at, &getSealCall { order });
        let mut is_sound = false;
        if seal.key != B256::ZERO {
            match package.open(seal.key, seal.keyHash)? {
                Opened::Sound(found) => is_sound = found == plain,
                Opened::Faulty(fault) => {
                    chain.ok(BUYER, at, &fault.complaint(order));
                }
            }
        }
        chain.warp(DELIVER_IN + WINDOW + 1);
        chain.call(chain.account(9), at, &settleCall { order });
        let state = OrderState::try_from(chain.order(order).state)?;
        let expected = if is_sound { OrderState::Completed } else { OrderState::Refunded };
        prop_assert_eq!(state, expected, "{:?}", deceit);
        prop_assert_eq!(credit(&chain, BUYER), if is_sound { 0 } else { PRICE });
        prop_assert_eq!(credit(&chain, SELLER) > 0, is_sound);
        prop_assert_eq!(chain.balance(at), 0, "the judge holds no money");
    }
}

/// What a buyer tries against a seller who does everything right.
#[derive(Clone, Debug)]
enum Attempt {
    Accept,
    Confirm,
    Settle,
    Cancel,
    Dispute,
    /// A complaint with the true proofs of one chunk, changed in one place.
    Complain {
        chunk: Index,
        change: Change,
    },
    Wait {
        seconds: u64,
    },
}

#[derive(Clone, Debug)]
enum Change {
    None,
    Index(u32),
    Word { word: Index, bit: u8 },
    Cut,
    Grow,
    PlainLeaf { from: Index },
    PlainProof { from: Index },
    CipherProof { from: Index },
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let place = any::<Index>;
    let change = prop_oneof![
        Just(Change::None),
        (0_u32..6).prop_map(Change::Index),
        (place(), any::<u8>()).prop_map(|(word, bit)| Change::Word { word, bit }),
        Just(Change::Cut),
        Just(Change::Grow),
        place().prop_map(|from| Change::PlainLeaf { from }),
        place().prop_map(|from| Change::PlainProof { from }),
        place().prop_map(|from| Change::CipherProof { from }),
    ];
    prop_oneof![
        2 => Just(Attempt::Accept),
        1 => Just(Attempt::Confirm),
        1 => Just(Attempt::Settle),
        1 => Just(Attempt::Cancel),
        1 => Just(Attempt::Dispute),
        8 => (place(), change).prop_map(|(chunk, change)| Attempt::Complain { chunk, change }),
        2 => prop_oneof![Just(600_u64), Just(3_000), Just(8_000)]
            .prop_map(|seconds| Attempt::Wait { seconds }),
    ]
}

fn complaint(package: &Package, order: U256, chunk: &Index, change: &Change) -> complainCall {
    let count = package.chunks.len();
    let of = |place: &Index| {
        let index = u32::try_from(place.index(count)).expect("few chunks");
        package.fault(index).unwrap()
    };
    let mut call = of(chunk).complaint(order);
    match change {
        Change::None => {}
        Change::Index(index) => call.index = *index,
        Change::Word { word, bit } => {
            let word = word.index(call.chunk.len());
            call.chunk[word].0[usize::from(bit / 8)] ^= 1 << (bit % 8);
        }
        Change::Cut => {
            call.chunk.pop();
        }
        Change::Grow => call.chunk.push(B256::ZERO),
        Change::PlainLeaf { from } => call.plainLeaf = of(from).plain_leaf,
        Change::PlainProof { from } => {
            let other = of(from);
            (call.plainLeaf, call.plainProof) = (other.plain_leaf, other.plain_proof);
        }
        Change::CipherProof { from } => {
            let other = of(from);
            (call.chunk, call.cipherProof) = (other.chunk, other.cipher_proof);
        }
    }
    call
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The seller reveals as soon as the buyer has accepted; from then on nothing but the market's income is left.
    #[test]
    fn honest_seller_is_never_refunded_against(
        attempts in proptest::collection::vec(attempt(), 1..16),
    ) {
        let Scene { mut chain, order, package } = Scene::offered();
        let at = chain.at;
        let mut is_revealed = false;
        for attempt in &attempts {
            let (to, data) = match attempt {
                Attempt::Wait { seconds } => {
                    chain.warp(*seconds);
                    continue;
                }
                Attempt::Accept => call(at.sealed_delivery, &acceptCall { order }),
                Attempt::Settle => call(at.sealed_delivery, &settleCall { order }),
                Attempt::Complain { chunk, change } => {
                    call(at.sealed_delivery, &complaint(&package, order, chunk, change))
                }
                Attempt::Confirm => {
                    call(at.data_marketplace, &DataMarketplace::confirmCall { order })
                }
                Attempt::Cancel => call(at.data_marketplace, &DataMarketplace::cancelCall { order }),
                Attempt::Dispute => {
                    let evidence = B256::ZERO;
                    call(at.data_marketplace, &DataMarketplace::disputeCall { order, evidence })
                }
            };
            let outcome = chain.call_data(chain.account(BUYER), to, data);
            if matches!(attempt, Attempt::Accept) && outcome.success {
                chain.ok(SELLER, at.sealed_delivery, &revealCall { order, key: key() });
                is_revealed = true;
            }
            prop_assert!(!is_revealed || credit(&chain, BUYER) == 0, "{:?}", attempt);
        }
        chain.warp(DELIVER_IN + WINDOW + 1);
        chain.call(chain.account(9), at.sealed_delivery, &settleCall { order });
        let seller = credit(&chain, SELLER);
        let seal = chain.view(at.sealed_delivery, &getSealCall { order });
        prop_assert_eq!(seal.key != B256::ZERO, is_revealed);
        if is_revealed {
            prop_assert_eq!((seller, credit(&chain, BUYER)), (PRICE - PRICE / 100, 0));
        } else {
            prop_assert_eq!((seller, credit(&chain, BUYER)), (0, PRICE));
        }
    }
}

fn call(
    to: alloy_primitives::Address,
    call: &impl alloy_sol_types::SolCall,
) -> (alloy_primitives::Address, alloy_primitives::Bytes) {
    (to, call.abi_encode().into())
}
