//! Sealed datasets: what seller and buyer compute for the judge `SealedDelivery`.
//!
//! Rule followed: contracts specification, section 13. A dataset is cut into chunks of at most 32
//! words; the first word of each is random, so that the hash `h` of a chunk's words tells nothing
//! about it. Word *i* of chunk *index* is sealed with `keccak(key, index, i)`. Both trees (the
//! listing's subject over the plain chunks, the cipher root over the sealed ones) have the leaves
//! `keccak(keccak(index, h))`.
//!
//! ```text
//! seller                              chain                     buyer
//! Dataset::new, root()   ─ list ────▶ subject
//! Dataset::seal(key)     ─ offer ───▶ cipher root, key hash
//!   Package              ───────────────────────────────────▶   Package::check
//!                                     accept  ◀───────────────
//! key                    ─ reveal ──▶ key, window opens  ───▶   Package::open
//!                                     complain ◀──────────────    Fault, if a chunk is wrong
//! ```
//!
//! The first data word of a dataset is its length in bytes; the last word is filled with zeros.
//! That is this module's framing: the judge compares hashes of chunks, whatever is in them.

use alloy_primitives::{B256, keccak256};
use medina_contracts::sealed_delivery::SealedDelivery::complainCall;
use thiserror::Error;

use crate::limits::BATCH_READINGS_MAX;
use crate::merkle::{MerkleError, MerkleTree};

/// Most words of a chunk: the judge's limit.
pub const CHUNK_WORDS_MAX: usize = 32;
/// Words of a chunk that carry data; the first is random.
const DATA_WORDS: usize = CHUNK_WORDS_MAX - 1;
const WORD_BYTES: usize = 32;
/// Most chunks of a dataset: as many leaves as a tree may have, about a gigabyte.
pub const CHUNKS_MAX: usize = BATCH_READINGS_MAX;
/// Marks a package file and its version.
const MAGIC: &[u8; 8] = b"MEDSEAL1";

/// Why a dataset cannot be sealed, or what was sent is not what was offered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// There is nothing to sell.
    #[error("a dataset needs at least one byte")]
    Empty,
    /// More chunks than a tree has leaves.
    #[error("a dataset has at most {CHUNKS_MAX} chunks, this one needs {0}")]
    TooLarge(usize),
    /// The system gave no random bytes.
    #[error("the system has no randomness")]
    NoRandomness,
    /// Not a package of this version, or cut off.
    #[error("not a sealed package: {0}")]
    Malformed(&'static str),
    /// The promised hashes are not those of the listing.
    #[error("the promised hashes lead to {found}, the listing names {expected}")]
    OtherDataset {
        /// The listing's subject.
        expected: B256,
        /// Root over the hashes that were sent.
        found: B256,
    },
    /// The ciphertext is not the one offered.
    #[error("the ciphertext leads to {found}, the offer names {expected}")]
    OtherCiphertext {
        /// The offer's cipher root.
        expected: B256,
        /// Root over the chunks that were sent.
        found: B256,
    },
    /// The key does not belong to the offer.
    #[error("the key does not belong to the key hash of the offer")]
    OtherKey,
    /// Every chunk is what was promised, but the words are no dataset as this module frames it.
    #[error("the chunks are as promised but do not hold a dataset: {0}")]
    BadFraming(&'static str),
}

impl From<MerkleError> for SealError {
    fn from(error: MerkleError) -> Self {
        match error {
            MerkleError::TooManyLeaves(count) => Self::TooLarge(count),
            MerkleError::Empty | MerkleError::NoSuchLeaf { .. } => Self::Empty,
        }
    }
}

/// A secret that opens one sealed package; never use it for a second order.
#[must_use]
pub fn key_hash(key: B256) -> B256 {
    keccak256(key)
}

/// A new secret.
pub fn random_key() -> Result<B256, SealError> {
    random_word()
}

/// Plain chunks with their random first words; the seller keeps it as long as the listing lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    chunks: Vec<Vec<B256>>,
}

impl Dataset {
    /// Cuts `data` into chunks with random first words.
    pub fn new(data: &[u8]) -> Result<Self, SealError> {
        Self::with_salts(data, random_word)
    }

    /// As [`Dataset::new`], with the first words from `salt`.
    pub fn with_salts(
        data: &[u8],
        mut salt: impl FnMut() -> Result<B256, SealError>,
    ) -> Result<Self, SealError> {
        if data.is_empty() {
            return Err(SealError::Empty);
        }
        let count = (1 + data.len().div_ceil(WORD_BYTES)).div_ceil(DATA_WORDS);
        if count > CHUNKS_MAX {
            return Err(SealError::TooLarge(count));
        }
        let mut words = Vec::with_capacity(1 + data.len().div_ceil(WORD_BYTES));
        words.push(B256::left_padding_from(&data.len().to_be_bytes()));
        words.extend(data.chunks(WORD_BYTES).map(B256::right_padding_from));
        let chunk = |part: &[B256]| -> Result<Vec<B256>, SealError> {
            let mut chunk = vec![salt()?];
            chunk.extend(part);
            Ok(chunk)
        };
        let chunks = words
            .chunks(DATA_WORDS)
            .map(chunk)
            .collect::<Result<_, _>>()?;
        Ok(Self { chunks })
    }

    /// Chunks as they are, with whatever in them.
    pub fn from_chunks(chunks: Vec<Vec<B256>>) -> Result<Self, SealError> {
        check_shape(&chunks)?;
        Ok(Self { chunks })
    }

    /// The subject of the listing.
    pub fn root(&self) -> Result<B256, SealError> {
        Ok(tree(&self.hashes())?.root())
    }

    /// `h` of every plain chunk, which the buyer gets with the ciphertext.
    #[must_use]
    pub fn hashes(&self) -> Vec<B256> {
        self.chunks.iter().map(|chunk| chunk_hash(chunk)).collect()
    }

    /// What the buyer gets before it pays for the key.
    #[must_use]
    pub fn seal(&self, key: B256) -> Package {
        Package {
            hashes: self.hashes(),
            chunks: apply(&self.chunks, key),
        }
    }

    /// The plain chunks.
    #[must_use]
    pub fn chunks(&self) -> &[Vec<B256>] {
        &self.chunks
    }

    /// The bytes that were cut.
    pub fn data(&self) -> Result<Vec<u8>, SealError> {
        let mut words = self.chunks.iter().flat_map(|chunk| chunk.iter().skip(1));
        let length = words.next().ok_or(SealError::BadFraming("no length"))?;
        let length = usize::try_from(alloy_primitives::U256::from_be_bytes(length.0))
            .map_err(|_| SealError::BadFraming("impossible length"))?;
        let mut data: Vec<u8> = words.flat_map(|word| word.0).collect();
        if length > data.len() || data.len() - length >= WORD_BYTES {
            return Err(SealError::BadFraming("the length is not that of the words"));
        }
        data.truncate(length);
        Ok(data)
    }
}

/// What the buyer gets: the ciphertext and the promised hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Promised `h` of every plain chunk.
    pub hashes: Vec<B256>,
    /// Sealed words of every chunk.
    pub chunks: Vec<Vec<B256>>,
}

/// What opening a package showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Everything is as promised.
    Sound(Dataset),
    /// A chunk is not: the judge takes this for a refund.
    Faulty(Fault),
}

/// The proof that one chunk is not what was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which chunk.
    pub index: u32,
    /// Its sealed words.
    pub chunk: Vec<B256>,
    /// From its leaf to the cipher root.
    pub cipher_proof: Vec<B256>,
    /// The promised hash.
    pub plain_leaf: B256,
    /// From its leaf to the listing's subject.
    pub plain_proof: Vec<B256>,
}

impl Fault {
    /// The call to the judge.
    #[must_use]
    pub fn complaint(&self, order: alloy_primitives::U256) -> complainCall {
        complainCall {
            order,
            index: self.index,
            chunk: self.chunk.clone(),
            cipherProof: self.cipher_proof.clone(),
            plainLeaf: self.plain_leaf,
            plainProof: self.plain_proof.clone(),
        }
    }
}

impl Package {
    /// Root that the seller offers.
    pub fn root(&self) -> Result<B256, SealError> {
        Ok(tree(&self.cipher_hashes())?.root())
    }

    /// What a buyer must find before it accepts: as many promised hashes as chunks, each chunk short enough to be
    /// complained of, and both roots those on chain. Who accepts something else may pay for what nobody can judge.
    pub fn check(&self, subject: B256, cipher_root: B256) -> Result<(), SealError> {
        check_shape(&self.chunks)?;
        if self.hashes.len() != self.chunks.len() {
            return Err(SealError::Malformed("not one hash for each chunk"));
        }
        let found = tree(&self.hashes)?.root();
        if found != subject {
            let expected = subject;
            return Err(SealError::OtherDataset { expected, found });
        }
        let found = self.root()?;
        if found != cipher_root {
            let expected = cipher_root;
            return Err(SealError::OtherCiphertext { expected, found });
        }
        Ok(())
    }

    /// Opens a package that [`Package::check`] found right, with the key that was revealed.
    pub fn open(&self, key: B256, offered_key_hash: B256) -> Result<Opened, SealError> {
        if key_hash(key) != offered_key_hash {
            return Err(SealError::OtherKey);
        }
        let chunks = apply(&self.chunks, key);
        let wrong = (0_u32..)
            .zip(chunks.iter().zip(&self.hashes))
            .find(|(_, (chunk, promised))| chunk_hash(chunk) != **promised);
        match wrong {
            None => Ok(Opened::Sound(Dataset { chunks })),
            Some((index, _)) => Ok(Opened::Faulty(self.fault(index)?)),
        }
    }

    /// The proofs for chunk `index`, whether or not it is wrong.
    pub fn fault(&self, index: u32) -> Result<Fault, SealError> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(chunk), Some(plain_leaf)) = (self.chunks.get(place), self.hashes.get(place))
        else {
            return Err(SealError::Malformed("no such chunk"));
        };
        Ok(Fault {
            index,
            chunk: chunk.clone(),
            cipher_proof: tree(&self.cipher_hashes())?.proof(index)?,
            plain_leaf: *plain_leaf,
            plain_proof: tree(&self.hashes)?.proof(index)?,
        })
    }

    /// As a file: magic, number of chunks, then for each its promised hash, number of words and words.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let words: usize = self.chunks.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(12 + 33 * self.chunks.len() + WORD_BYTES * words);
        bytes.extend(MAGIC);
        let count = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        bytes.extend(count.to_be_bytes());
        for (hash, chunk) in self.hashes.iter().zip(&self.chunks) {
            bytes.extend(hash.0);
            bytes.push(u8::try_from(chunk.len()).unwrap_or(u8::MAX));
            bytes.extend(chunk.iter().flat_map(|word| word.0));
        }
        bytes
    }

    /// Reads what [`Package::to_bytes`] wrote; nothing may follow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(SealError::Malformed("another kind of file"));
        }
        let count = reader.take(4)?.try_into().map(u32::from_be_bytes);
        let count = count.map_or(usize::MAX, |count| {
            usize::try_from(count).unwrap_or(usize::MAX)
        });
        if count > CHUNKS_MAX {
            return Err(SealError::TooLarge(count));
        }
        let (mut hashes, mut chunks) = (Vec::new(), Vec::new());
        for _ in 0..count {
            hashes.push(B256::from_slice(reader.take(WORD_BYTES)?));
            let words = usize::from(reader.take(1)?[0]);
            let words = reader.take(words * WORD_BYTES)?.chunks(WORD_BYTES);
            chunks.push(words.map(B256::from_slice).collect());
        }
        if !reader.0.is_empty() {
            return Err(SealError::Malformed("bytes behind the last chunk"));
        }
        check_shape(&chunks)?;
        Ok(Self { hashes, chunks })
    }

    fn cipher_hashes(&self) -> Vec<B256> {
        self.chunks.iter().map(|chunk| chunk_hash(chunk)).collect()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SealError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(SealError::Malformed("cut off"))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Words sealed become plain and plain ones sealed.
fn apply(chunks: &[Vec<B256>], key: B256) -> Vec<Vec<B256>> {
    (0_u32..)
        .zip(chunks)
        .map(|(index, chunk)| {
            let words = (0_u8..).zip(chunk);
            words.map(|(i, word)| *word ^ pad(key, index, i)).collect()
        })
        .collect()
}

/// `keccak(key, index, i)` over three words, as `abi.encode` has them.
fn pad(key: B256, index: u32, i: u8) -> B256 {
    let mut words = [0; 3 * WORD_BYTES];
    words[..32].copy_from_slice(key.as_slice());
    words[60..64].copy_from_slice(&index.to_be_bytes());
    words[95] = i;
    keccak256(words)
}

fn chunk_hash(chunk: &[B256]) -> B256 {
    keccak256(chunk.concat())
}

fn leaf(index: u32, h: B256) -> B256 {
    let mut words = [0; 2 * WORD_BYTES];
    words[28..32].copy_from_slice(&index.to_be_bytes());
    words[32..].copy_from_slice(h.as_slice());
    keccak256(keccak256(words))
}

fn tree(hashes: &[B256]) -> Result<MerkleTree, SealError> {
    let leaves = (0_u32..).zip(hashes).map(|(index, h)| leaf(index, *h));
    Ok(MerkleTree::new(leaves.collect())?)
}

fn check_shape(chunks: &[Vec<B256>]) -> Result<(), SealError> {
    if chunks.is_empty() {
        return Err(SealError::Empty);
    }
    if chunks.len() > CHUNKS_MAX {
        return Err(SealError::TooLarge(chunks.len()));
    }
    let is_judged = |chunk: &Vec<B256>| (1..=CHUNK_WORDS_MAX).contains(&chunk.len());
    if !chunks.iter().all(is_judged) {
        return Err(SealError::Malformed("a chunk has no words or more than 32"));
    }
    Ok(())
}

fn random_word() -> Result<B256, SealError> {
    let mut word = B256::ZERO;
    getrandom::fill(&mut word.0).map_err(|_| SealError::NoRandomness)?;
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolValue;
    use proptest::prelude::*;

    const KEY: B256 = B256::repeat_byte(7);

    fn dataset(data: &[u8]) -> Dataset {
        let mut salt = 0_u8;
        let salts = || {
            salt = salt.wrapping_add(1);
            Ok(B256::repeat_byte(salt))
        };
        Dataset::with_salts(data, salts).expect("small and not empty")
    }

    #[test]
    fn hashes_are_those_of_the_abi_encoding() {
        let h = B256::repeat_byte(3);
        assert_eq!(leaf(9, h), keccak256(keccak256((9_u32, h).abi_encode())));
        let expected = keccak256((KEY, 9_u32, alloy_primitives::U256::from(31)).abi_encode());
        assert_eq!(pad(KEY, 9, 31), expected);
    }

    #[test]
    fn chunks_have_at_most_32_words_and_their_own_salt() {
        let data = dataset(&[5; 31 * 32 * 2]);
        let lengths: Vec<_> = data.chunks().iter().map(Vec::len).collect();
        assert_eq!(lengths, [32, 32, 2]);
        let again = Dataset::new(&[5; 31 * 32 * 2]).expect("randomness");
        assert_ne!(
            again.root(),
            data.root(),
            "the same bytes are not recognised"
        );
        assert_ne!(again.chunks()[0][0], again.chunks()[1][0]);
    }

    #[test]
    fn nothing_and_misshapen_chunks_are_refused() {
        assert_eq!(Dataset::new(&[]), Err(SealError::Empty));
        assert_eq!(Dataset::from_chunks(vec![]), Err(SealError::Empty));
        for length in [0, 33] {
            let chunks = vec![vec![B256::ZERO; length]];
            let found = Dataset::from_chunks(chunks);
            assert!(matches!(found, Err(SealError::Malformed(_))), "{length}");
        }
    }

    #[test]
    fn buyer_refuses_other_roots_other_keys_and_missing_hashes() {
        let data = dataset(&[1; 3_000]);
        let package = data.seal(KEY);
        let (subject, root) = (data.root().expect("root"), package.root().expect("root"));
        assert_eq!(package.check(subject, root), Ok(()));
        let other = package.check(root, root);
        assert!(matches!(other, Err(SealError::OtherDataset { .. })));
        let other = package.check(subject, subject);
        assert!(matches!(other, Err(SealError::OtherCiphertext { .. })));
        let mut short = package.clone();
        short.hashes.pop();
        assert!(matches!(
            short.check(subject, root),
            Err(SealError::Malformed(_))
        ));
        let wrong = package.open(B256::ZERO, key_hash(KEY));
        assert_eq!(wrong, Err(SealError::OtherKey));
    }

    #[test]
    fn words_that_are_no_dataset_are_named() {
        let empty = Dataset::from_chunks(vec![vec![B256::ZERO]]).expect("shape");
        assert!(matches!(empty.data(), Err(SealError::BadFraming(_))));
        let long = Dataset::from_chunks(vec![vec![B256::ZERO, B256::repeat_byte(255)]]);
        let long = long.expect("shape").data();
        assert!(matches!(long, Err(SealError::BadFraming(_))));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same_bytes(data in prop::collection::vec(any::<u8>(), 1..5_000)) {
            let plain = dataset(&data);
            let package = Package::from_bytes(&plain.seal(KEY).to_bytes())?;
            package.check(plain.root()?, package.root()?)?;
            prop_assert!(package.chunks.iter().zip(plain.chunks()).all(|(a, b)| a != b));
            match package.open(KEY, key_hash(KEY))? {
                Opened::Sound(opened) => prop_assert_eq!(opened.data()?, data),
                Opened::Faulty(fault) => prop_assert!(false, "{:?}", fault),
            }
        }

        #[test]
        fn first_wrong_chunk_is_found_with_its_proofs(
            data in prop::collection::vec(any::<u8>(), 1..5_000),
            pick in any::<prop::sample::Index>(),
            bit in 0_usize..256,
        ) {
            let plain = dataset(&data);
            let mut package = plain.seal(KEY);
            let place = pick.index(package.chunks.len());
            package.chunks[place][0].0[bit / 8] ^= 1 << (bit % 8);
            let Opened::Faulty(fault) = package.open(KEY, key_hash(KEY))? else {
                return Err(TestCaseError::fail("the wrong chunk was not found"));
            };
            prop_assert_eq!(usize::try_from(fault.index)?, place);
            let sent = leaf(fault.index, chunk_hash(&fault.chunk));
            prop_assert!(crate::merkle::verify(package.root()?, sent, &fault.cipher_proof));
            let promised = leaf(fault.index, fault.plain_leaf);
            prop_assert!(crate::merkle::verify(plain.root()?, promised, &fault.plain_proof));
        }

        #[test]
        fn foreign_bytes_never_panic_and_what_is_read_is_written_back(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            is_marked in any::<bool>(),
        ) {
            let bytes = if is_marked { [&MAGIC[..], &[0, 0, 0], &bytes].concat() } else { bytes };
            if let Ok(package) = Package::from_bytes(&bytes) {
                prop_assert_eq!(package.to_bytes(), bytes);
            }
        }
    }
}
