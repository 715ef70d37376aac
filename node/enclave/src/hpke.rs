//! HPKE, RFC 9180: base mode, single shot, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
//! ChaCha20-Poly1305; section numbers beside the functions.
//!
//! Only what wraps a 32-byte key is here: no exporter, no second message, no other mode.

use crate::secret::{self, Secret};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// DHKEM(X25519, HKDF-SHA256), section 7.1.
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
/// KEM 0x0020, KDF 0x0001 (HKDF-SHA256), AEAD 0x0003 (ChaCha20-Poly1305), section 5.1.
const HPKE_SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x03";
const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: u8 = 0;

/// A key or ciphertext that does not open, or a public key of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// An encapsulated key and the 32 bytes encrypted under it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) encapsulated: [u8; 32],
    pub(crate) sealed: [u8; 48],
}

/// What both sides bind: `info` names the thing, `aad` the recipient.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) info: &'a [u8],
    pub(crate) aad: &'a [u8],
}

/// The public half of an X25519 secret.
pub(crate) fn public_key(secret: &Secret) -> [u8; 32] {
    x25519(*secret.expose(), X25519_BASEPOINT_BYTES)
}

/// Encrypts 32 bytes to a public key (section 6.1).
pub(crate) fn seal(
    recipient: &[u8; 32],
    context: Context<'_>,
    plaintext: &Secret,
) -> Result<Sealed, SealError> {
    let ephemeral = secret::random().map_err(SealError::Random)?;
    let (shared, encapsulated) = encapsulate(&ephemeral, recipient).map_err(|_| SealError::Key)?;
    let sealed = encrypt(&shared, context, plaintext.expose());
    let sealed = sealed.try_into().expect("32 bytes and a tag of 16");
    Ok(Sealed {
        encapsulated,
        sealed,
    })
}

/// Why nothing was sealed.
#[derive(Clone, Debug)]
pub(crate) enum SealError {
    /// The system gives no random bytes.
    Random(String),
    /// The recipient's key is no usable key.
    Key,
}

/// Opens what [`seal`] made (section 6.1).
pub(crate) fn open(
    secret: &Secret,
    context: Context<'_>,
    sealed: &Sealed,
) -> Result<Secret, Refused> {
    let shared = decapsulate(secret, &sealed.encapsulated)?;
    let opened = decrypt(&shared, context, &sealed.sealed)?;
    let bytes = opened.as_slice().try_into().map_err(|_| Refused)?;
    Ok(Secret::new(bytes))
}

/// Encap with the ephemeral key given (section 4.1).
fn encapsulate(ephemeral: &Secret, recipient: &[u8; 32]) -> Result<(Secret, [u8; 32]), Refused> {
    let shared_point = diffie_hellman(ephemeral, recipient)?;
    let encapsulated = public_key(ephemeral);
    Ok((
        extract_and_expand(&shared_point, &encapsulated, recipient),
        encapsulated,
    ))
}

/// Decap (section 4.1).
fn decapsulate(secret: &Secret, encapsulated: &[u8; 32]) -> Result<Secret, Refused> {
    let shared_point = diffie_hellman(secret, encapsulated)?;
    Ok(extract_and_expand(
        &shared_point,
        encapsulated,
        &public_key(secret),
    ))
}

/// Section 7.1.4: an all-zero result comes from a point of small order.
fn diffie_hellman(secret: &Secret, public: &[u8; 32]) -> Result<Secret, Refused> {
    let shared = Secret::new(x25519(*secret.expose(), *public));
    if shared.expose().iter().fold(0, |seen, byte| seen | byte) == 0 {
        return Err(Refused);
    }
    Ok(shared)
}

fn extract_and_expand(point: &Secret, encapsulated: &[u8; 32], recipient: &[u8; 32]) -> Secret {
    let prk = labeled_extract(KEM_SUITE, &[], b"eae_prk", point.expose());
    let kem_context = [*encapsulated, *recipient].concat();
    let mut shared = Secret::zero();
    labeled_expand(
        KEM_SUITE,
        &prk,
        b"shared_secret",
        &kem_context,
        shared.expose_mut(),
    );
    shared
}

/// Key and nonce of the first message (section 5.1, mode base: no PSK).
struct Schedule {
    key: Secret,
    nonce: [u8; 12],
}

fn key_schedule(shared: &Secret, info: &[u8]) -> Schedule {
    let psk_id_hash = labeled_extract(HPKE_SUITE, &[], b"psk_id_hash", &[]);
    let info_hash = labeled_extract(HPKE_SUITE, &[], b"info_hash", info);
    let context = [
        &[MODE_BASE],
        psk_id_hash.expose().as_slice(),
        info_hash.expose().as_slice(),
    ]
    .concat();
    let secret = labeled_extract(HPKE_SUITE, shared.expose(), b"secret", &[]);
    let mut schedule = Schedule {
        key: Secret::zero(),
        nonce: [0; 12],
    };
    labeled_expand(
        HPKE_SUITE,
        &secret,
        b"key",
        &context,
        schedule.key.expose_mut(),
    );
    labeled_expand(
        HPKE_SUITE,
        &secret,
        b"base_nonce",
        &context,
        &mut schedule.nonce,
    );
    schedule
}

/// The first message; its nonce is the base nonce (section 5.2).
fn encrypt(shared: &Secret, context: Context<'_>, plaintext: &[u8]) -> Vec<u8> {
    let schedule = key_schedule(shared, context.info);
    let payload = Payload {
        msg: plaintext,
        aad: context.aad,
    };
    cipher(&schedule)
        .encrypt(Nonce::from_slice(&schedule.nonce), payload)
        .expect("memory takes the ciphertext")
}

fn decrypt(
    shared: &Secret,
    context: Context<'_>,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let schedule = key_schedule(shared, context.info);
    let payload = Payload {
        msg: ciphertext,
        aad: context.aad,
    };
    cipher(&schedule)
        .decrypt(Nonce::from_slice(&schedule.nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| Refused)
}

fn cipher(schedule: &Schedule) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(Key::from_slice(schedule.key.expose()))
}

/// LabeledExtract (section 4).
fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], material: &[u8]) -> Secret {
    let labeled = Zeroizing::new([VERSION, suite, label, material].concat());
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), &labeled);
    Secret::new(prk.into())
}

/// LabeledExpand (section 4).
fn labeled_expand(suite: &[u8], prk: &Secret, label: &[u8], info: &[u8], output: &mut [u8]) {
    let length = u16::try_from(output.len()).expect("32 bytes at most");
    let labeled = [&length.to_be_bytes(), VERSION, suite, label, info].concat();
    Hkdf::<Sha256>::from_prk(prk.expose())
        .expect("a pseudorandom key has the length of the hash")
        .expand(&labeled, output)
        .expect("HKDF gives 255 times 32 bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    fn secret(digits: &str) -> Secret {
        Secret::new(hex::decode_to_array(digits).expect("32 bytes in hexadecimal digits"))
    }

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(digits).expect("hexadecimal digits")
    }

    /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base.
    const SK_E: &str = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600";
    const PK_E: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    const SK_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    const PK_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    const SHARED: &str = "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7";
    const KEY: &str = "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91";
    const NONCE: &str = "5c4d98150661b848853b547f";
    const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
    const AAD_0: &str = "436f756e742d30";
    const PLAINTEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";
    const CIPHERTEXT_0: &str = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";

    #[test]
    fn public_keys_are_those_of_the_rfc() {
        assert_eq!(hex::encode(public_key(&secret(SK_E))), PK_E);
        assert_eq!(hex::encode(public_key(&secret(SK_R))), PK_R);
    }

    #[test]
    fn encapsulation_is_that_of_the_rfc_on_both_sides() {
        let recipient = hex::decode_to_array(PK_R).unwrap();
        let (shared, encapsulated) = encapsulate(&secret(SK_E), &recipient).unwrap();
        assert_eq!(hex::encode(encapsulated), PK_E);
        assert_eq!(hex::encode(shared.expose()), SHARED);
        let again = decapsulate(&secret(SK_R), &encapsulated).unwrap();
        assert_eq!(hex::encode(again.expose()), SHARED);
    }

    #[test]
    fn key_schedule_is_that_of_the_rfc() {
        let schedule = key_schedule(&secret(SHARED), &bytes(INFO));
        assert_eq!(hex::encode(schedule.key.expose()), KEY);
        assert_eq!(hex::encode(schedule.nonce), NONCE);
    }

    #[test]
    fn first_message_is_that_of_the_rfc_on_both_sides() {
        let (info, aad) = (bytes(INFO), bytes(AAD_0));
        let context = Context {
            info: &info,
            aad: &aad,
        };
        let sealed = encrypt(&secret(SHARED), context, &bytes(PLAINTEXT));
        assert_eq!(hex::encode(&sealed), CIPHERTEXT_0);
        let opened = decrypt(&secret(SHARED), context, &sealed).unwrap();
        assert_eq!(hex::encode(&*opened), PLAINTEXT);
    }

    #[test]
    fn wrapped_key_opens_for_its_recipient_and_context_only() {
        let recipient = secret::random().unwrap();
        let context = Context {
            info: b"digest",
            aad: b"party",
        };
        let key = secret::random().unwrap();
        let sealed = seal(&public_key(&recipient), context, &key).unwrap();
        let opened = open(&recipient, context, &sealed).unwrap();
        assert_eq!(opened.expose(), key.expose());
        let other = secret::random().unwrap();
        assert!(open(&other, context, &sealed).is_err());
        for wrong in [
            Context {
                info: b"other",
                ..context
            },
            Context {
                aad: b"other",
                ..context
            },
        ] {
            assert!(open(&recipient, wrong, &sealed).is_err());
        }
    }

    #[test]
    fn points_of_small_order_are_refused() {
        let context = Context {
            info: b"",
            aad: b"",
        };
        let key = secret::random().unwrap();
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert!(matches!(seal(&point, context, &key), Err(SealError::Key)));
        }
    }
}
