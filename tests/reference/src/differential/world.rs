//! The validators, keys and blocks of one comparison.

use crate::spec::{self, Facts, Signatures, proposer::Turns};
use alloy_primitives::{Address, B256};
use medina_consensus::{Ed25519Crypto, HeadInfo, VoteCrypto};
use medina_types::{
    Height, HeightContext, NodePublicKey, NodeSecretKey, NodeSignature, SealedBlock, Validator,
    ValidatorSet,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Hash of block 0 in every comparison.
pub const GENESIS: B256 = B256::repeat_byte(0x11);

/// How votes are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A keyed hash: cheap, and as good where nobody attacks the signature itself.
    Hash,
    /// What nodes really use.
    Ed25519,
}

/// A validator's way to sign, and everybody's to verify.
#[derive(Clone, Debug)]
pub enum Signer {
    /// Keyed hash of this key.
    Hash(NodePublicKey),
    /// Real signatures.
    Ed25519(Ed25519Crypto),
}

fn keyed_hash(key: &NodePublicKey, message: &[u8]) -> NodeSignature {
    let mix = |state: u64, word: u64| {
        let product = (state ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (product ^ product >> 29)
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .rotate_left(17)
    };
    let words = key.0.chunks(8).chain(message.chunks(8)).map(|chunk| {
        let bytes = chunk.iter().rev();
        bytes.fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
    });
    let hash = words.fold(message.len() as u64, mix);
    let mut signature = [0; 64];
    signature[..8].copy_from_slice(&hash.to_le_bytes());
    NodeSignature(signature)
}

impl VoteCrypto for Signer {
    fn sign(&self, message: &[u8]) -> NodeSignature {
        match self {
            Self::Hash(key) => keyed_hash(key, message),
            Self::Ed25519(crypto) => crypto.sign(message),
        }
    }

    fn verify(&self, key: &NodePublicKey, message: &[u8], signature: &NodeSignature) -> bool {
        match self {
            Self::Hash(_) => keyed_hash(key, message) == *signature,
            Self::Ed25519(crypto) => crypto.verify(key, message, signature),
        }
    }
}

impl Signatures for Signer {
    fn is_by(&self, key: &NodePublicKey, bytes: &[u8], signature: &NodeSignature) -> bool {
        self.verify(key, bytes, signature)
    }
}

/// What the caller would say about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Valid.
    Good,
    /// Its time is too far from the clock: refused as long as it is fresh.
    TooEarly,
    /// Invalid.
    Bad,
}

impl Quality {
    /// Answer to an order to check.
    #[must_use]
    pub fn passes(self, fresh: bool) -> bool {
        self == Self::Good || self == Self::TooEarly && !fresh
    }
}

/// One height of a small network.
#[derive(Clone, Debug)]
pub struct World {
    /// How everybody signs; one more than there are validators: a stranger.
    pub signers: Vec<Signer>,
    /// Their keys.
    pub keys: Vec<NodePublicKey>,
    /// Validators without the stranger.
    pub count: usize,
    /// Validators and proposers as the engine is told.
    pub context: HeightContext,
    /// Proposers as the checker derives them.
    pub turns: Turns,
    /// The head.
    pub head: HeadInfo,
    /// Blocks that messages are about; fresh ones of every validator first.
    pub blocks: Vec<(SealedBlock, Quality)>,
}

fn secret(index: usize) -> NodeSecretKey {
    let byte = u8::try_from(index).unwrap_or(u8::MAX);
    NodeSecretKey::from_bytes([byte.wrapping_add(1); 32])
}

/// Operator of a validator.
#[must_use]
pub fn operator(index: usize) -> Address {
    Address::repeat_byte(u8::try_from(index).unwrap_or(u8::MAX).wrapping_add(1))
}

fn key_and_signer(scheme: Scheme, index: usize) -> (NodePublicKey, Signer) {
    match scheme {
        Scheme::Hash => {
            // Not in the order of the indices, as real keys are not.
            let byte = u8::try_from(index).unwrap_or(u8::MAX);
            let key = NodePublicKey([byte.wrapping_mul(83).wrapping_add(7); 32]);
            (key, Signer::Hash(key))
        }
        Scheme::Ed25519 => {
            let secret = secret(index);
            let key = secret.public_key();
            (key, Signer::Ed25519(Ed25519Crypto::new(secret)))
        }
    }
}

impl World {
    /// A network of `count` validators after a random history of blocks.
    pub fn new(scheme: Scheme, count: usize, rng: &mut ChaCha8Rng) -> Self {
        let (keys, signers): (Vec<_>, Vec<_>) = (0..=count)
            .map(|index| key_and_signer(scheme, index))
            .unzip();
        let validator = |index: usize| Validator {
            key: keys[index],
            operator: operator(index),
        };
        let set = ValidatorSet::new((0..count).map(validator).collect())
            .expect("a few distinct validators are a set");
        let operators = set.validators().iter().map(|one| one.operator).collect();
        let mut context = HeightContext::genesis(set.clone());
        let mut turns = Turns::at_genesis(operators);
        let history = rng.random_range(0..40_u64);
        for height in 1..=history {
            // Mostly one author, so that others are late.
            let author = if rng.random_bool(0.3) {
                rng.random_range(0..count)
            } else {
                0
            };
            context = context.after(Height(height), operator(author), set.clone());
            turns.add_block(height, operator(author));
        }
        let head = HeadInfo {
            height: Height(history),
            hash: B256::repeat_byte(0x22),
            timestamp_s: 0,
            committed_at_ms: 0,
        };
        let mut world = Self {
            signers,
            keys,
            count,
            context,
            turns,
            head,
            blocks: Vec::new(),
        };
        world.make_blocks(rng);
        world
    }

    /// The height being decided.
    #[must_use]
    pub fn height(&self) -> Height {
        self.head.height.next()
    }

    /// The block of this author with a salt, on top of the head.
    #[must_use]
    pub fn block(&self, author: usize, salt: u64) -> SealedBlock {
        block(self.height(), self.head.hash, author, salt)
    }

    fn make_blocks(&mut self, rng: &mut ChaCha8Rng) {
        let mut blocks = Vec::new();
        for salt in 0..2 {
            for author in 0..self.count {
                let quality = match rng.random_range(0..10) {
                    0 => Quality::Bad,
                    1 => Quality::TooEarly,
                    _ => Quality::Good,
                };
                blocks.push((self.block(author, salt), quality));
            }
        }
        let height = self.height();
        let elsewhere = B256::repeat_byte(0x33);
        blocks.push((block(height, elsewhere, 0, 0), Quality::Bad));
        blocks.push((block(height.next(), self.head.hash, 0, 0), Quality::Bad));
        self.blocks = blocks;
    }

    /// Whether a block is valid; those built by the node under test are.
    #[must_use]
    pub fn quality(&self, digest: B256) -> Quality {
        let known = self.blocks.iter().find(|(block, _)| block.hash() == digest);
        known.map_or(Quality::Good, |(_, quality)| *quality)
    }

    /// What the checker is told.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let validators = self.context.validators.validators().iter();
        Facts {
            genesis: GENESIS,
            height: self.height(),
            parent: self.head.hash,
            validators: validators.map(|one| (one.key, one.operator)).collect(),
            proposers: self.turns.order(self.height().0),
        }
    }

    /// The world after this block.
    #[must_use]
    pub fn after(&self, block: &SealedBlock, rng: &mut ChaCha8Rng) -> Self {
        let mut next = self.clone();
        let beneficiary = block.header().beneficiary;
        let set = self.context.validators.clone();
        next.context = self.context.after(self.height(), beneficiary, set);
        next.turns.add_block(self.height().0, beneficiary);
        next.head = HeadInfo {
            height: self.height(),
            hash: block.hash(),
            ..self.head
        };
        next.make_blocks(rng);
        next
    }

    /// Place in the engine's and the checker's order of the validator that this
    /// world calls `index`.
    #[must_use]
    pub fn place(&self, index: usize) -> usize {
        let place = self.context.validators.index_of_key(&self.keys[index]);
        place.unwrap_or(self.count)
    }

    /// Our index of the validator at a place.
    #[must_use]
    pub fn index_at(&self, place: usize) -> usize {
        let key = self.context.validators.validators()[place].key;
        let index = self.keys.iter().position(|one| *one == key);
        index.unwrap_or(0)
    }

    /// The block in the checker's terms.
    #[must_use]
    pub fn plain(block: &SealedBlock) -> spec::Block {
        spec::Block {
            digest: block.hash(),
            number: block.height(),
            parent: block.header().parent_hash,
            beneficiary: block.header().beneficiary,
        }
    }
}

fn block(number: Height, parent: B256, author: usize, salt: u64) -> SealedBlock {
    let header = alloy_consensus::Header {
        number: number.0,
        parent_hash: parent,
        beneficiary: operator(author),
        timestamp: salt,
        ..alloy_consensus::Header::default()
    };
    SealedBlock::new(medina_types::Block::new(header, Default::default()))
}
