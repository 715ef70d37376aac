//! Known vectors, round trips, and what must never be seen.

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, U256, address};
use alloy_sol_types::{Eip712Domain, eip712_domain, sol};
use proptest::prelude::*;

use super::*;

const FIRST: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const FIRST_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

sol! {
    struct Note { bytes32 id; uint48 deadline; }
}

fn domain() -> Eip712Domain {
    eip712_domain! { name: "Test", version: "1", chain_id: 7, }
}

fn first() -> Account {
    Account::from_private_key(FIRST_KEY).expect("a key")
}

#[test]
fn test_mnemonic_gives_the_accounts_every_tool_knows() {
    let mnemonic = Mnemonic::parse(&TEST_MNEMONIC.replace(' ', "  ")).expect("valid");
    assert_eq!(mnemonic.account(0).expect("in range").address(), FIRST);
    let tenth = mnemonic.account(9).expect("in range").address();
    assert_eq!(tenth, address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    assert_eq!(first().address(), FIRST);
}

#[test]
fn new_mnemonics_have_their_words_and_read_back() {
    for words in [12, 15, 18, 21, 24] {
        let mnemonic = Mnemonic::random(words).expect("randomness");
        assert_eq!(mnemonic.phrase().split(' ').count(), words);
        assert!(Mnemonic::parse(mnemonic.phrase()).is_ok());
    }
    assert!(matches!(
        Mnemonic::random(13),
        Err(WalletError::BadWordCount(13))
    ));
    let two = [Mnemonic::random(12), Mnemonic::random(12)]
        .map(|m| m.expect("randomness").phrase().to_owned());
    assert_ne!(two[0], two[1]);
}

#[test]
fn index_behind_the_hardened_limit_is_refused() {
    let mnemonic = Mnemonic::parse(TEST_MNEMONIC).expect("valid");
    assert!(matches!(
        mnemonic.account(1 << 31),
        Err(WalletError::BadIndex(_))
    ));
}

#[test]
fn nothing_printed_holds_a_secret() {
    let mnemonic = Mnemonic::parse(TEST_MNEMONIC).expect("valid");
    let wrong = TEST_MNEMONIC.replace("junk", "zebra");
    let shown = [
        format!("{mnemonic:?}"),
        format!("{:?}", first()),
        format!(
            "{:?} {0}",
            Mnemonic::parse(&wrong).expect_err("wrong checksum")
        ),
        format!(
            "{:?} {0}",
            Account::from_private_key(&FIRST_KEY[..60]).expect_err("too short")
        ),
    ];
    for text in shown {
        assert!(
            !text.contains("test") && !text.contains("zebra") && !text.contains("ac0974be"),
            "{text}"
        );
    }
}

#[test]
fn transaction_is_recovered_to_its_sender() {
    let tx = TxEip1559 {
        chain_id: 7,
        nonce: 3,
        gas_limit: 21_000,
        to: FIRST.into(),
        value: U256::from(5),
        ..TxEip1559::default()
    };
    let signed = first().sign_transaction(tx).expect("signs");
    let envelope = TxEnvelope::decode_2718(&mut signed.raw.as_ref()).expect("decodes");
    assert_eq!(*envelope.tx_hash(), signed.hash);
    assert_eq!(envelope.recover_signer().expect("recovers"), FIRST);
}

#[test]
fn messages_and_typed_data_are_recovered_to_their_signer() {
    let signature = first().sign_message(b"hello").expect("signs").as_bytes();
    assert_eq!(
        recover_message(b"hello", &signature).expect("recovers"),
        FIRST
    );
    assert_ne!(recover_message(b"hullo", &signature).ok(), Some(FIRST));

    let note = Note {
        id: [7; 32].into(),
        deadline: alloy_primitives::aliases::U48::from(9),
    };
    let signature = first().sign_typed(&note, &domain()).expect("signs");
    assert_eq!(
        recover_typed(&note, &domain(), &signature.as_bytes()).expect("recovers"),
        FIRST
    );
    assert_eq!(first().packed(&signature).len(), 85);
}

#[test]
fn typed_json_signs_as_the_struct_does() {
    let json = r#"{
        "types": {
            "EIP712Domain": [
                {"name":"name","type":"string"}, {"name":"version","type":"string"}, {"name":"chainId","type":"uint256"}
            ],
            "Note": [{"name":"id","type":"bytes32"}, {"name":"deadline","type":"uint48"}]
        },
        "primaryType": "Note",
        "domain": {"name":"Test","version":"1","chainId":7},
        "message": {"id":"0x0707070707070707070707070707070707070707070707070707070707070707","deadline":9}
    }"#;
    let note = Note {
        id: [7; 32].into(),
        deadline: alloy_primitives::aliases::U48::from(9),
    };
    let of_struct = first().sign_typed(&note, &domain()).expect("signs");
    assert_eq!(first().sign_typed_json(json).expect("signs"), of_struct);
    assert!(matches!(
        first().sign_typed_json("{}"),
        Err(WalletError::BadTypedData(_))
    ));
}

#[test]
fn keystore_creates_lists_and_opens() {
    let dir = tempfile::tempdir().expect("a folder");
    let keystore = KeystoreDir::open(dir.path().join("keys")).expect("opens");
    let (account, entry) = keystore.create("secret").expect("creates");
    assert_eq!(keystore.list().expect("lists"), [entry]);
    let opened = keystore.unlock(account.address(), "secret").expect("opens");
    assert_eq!(
        *opened.to_bytes().expect("is here"),
        *account.to_bytes().expect("is here")
    );
    assert!(matches!(
        keystore.unlock(account.address(), "wrong"),
        Err(WalletError::WrongPassword(_))
    ));
    assert!(matches!(
        keystore.unlock(FIRST, "secret"),
        Err(WalletError::UnknownAccount { .. })
    ));
    assert!(matches!(
        keystore.import(&account, "x"),
        Err(WalletError::AlreadyThere(_))
    ));
}

#[cfg(unix)]
#[test]
fn keystore_files_belong_to_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let keystore = KeystoreDir::open(dir.path().join("keys")).expect("opens");
    let entry = keystore.import(&first(), "secret").expect("imports");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    };
    assert_eq!(mode(&entry.path), 0o600);
    assert_eq!(mode(&dir.path().join("keys")), 0o700);
    let text = std::fs::read_to_string(&entry.path).expect("reads");
    assert!(!text.contains(&FIRST_KEY[2..]));
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["crypto"]["kdfparams"]["n"], 262_144);
    let files = std::fs::read_dir(dir.path().join("keys")).expect("lists");
    assert_eq!(files.count(), 1, "no draft is left");
}

/// The PBKDF2 vector of the Web3 Secret Storage definition.
const OTHER_WALLET: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
"kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

/// The same fields as geth writes them.
const SCRYPT_FILE: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
"ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt",
"kdfparams":{"dklen":32,"n":262144,"p":1,"r":8,"salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
"mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

fn unlock_text(text: &str) -> Result<Account, WalletError> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("key.json");
    std::fs::write(&path, text).expect("writes");
    KeystoreDir::unlock_file(&path, "testpassword")
}

#[test]
fn file_of_another_wallet_opens() {
    let account = unlock_text(OTHER_WALLET).expect("opens");
    let key = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    assert_eq!(hex::encode(*account.to_bytes().expect("is here")), key);
}

#[test]
fn hostile_keystore_files_are_refused_before_any_work() {
    let changes = [
        ("\"n\":262144", "\"n\":4294967295", "n"),
        ("\"n\":262144", "\"n\":2147483648", "bytes"),
        ("\"r\":8", "\"r\":1", "too large for its r"),
        ("\"dklen\":32", "\"dklen\":16", "dklen"),
        ("83dbcc02d8ccb40e466191a123791e0e", "83db", "iv"),
        ("\"version\":3", "\"version\":1", "version"),
        ("aes-128-ctr", "aes-128-cbc", "cipher"),
        ("\"scrypt\"", "\"argon2\"", "kdf"),
    ];
    for (from, to, named) in changes {
        let error = unlock_text(&SCRYPT_FILE.replace(from, to)).expect_err(to);
        assert!(
            matches!(&error, WalletError::BadKeystore { reason, .. } if reason.contains(named)),
            "{error}"
        );
    }
    assert!(unlock_text(&"x".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}", bytes in any::<Vec<u8>>()) {
        let _ = Mnemonic::parse(&text);
        let _ = Account::from_private_key(&text);
        let _ = first().sign_typed_json(&text);
        let _ = recover_message(&bytes, &bytes);
    }

    #[test]
    fn damaged_keystore_files_do_not_panic(cut in any::<prop::sample::Index>()) {
        let place = cut.index(OTHER_WALLET.len());
        let _ = unlock_text(&OTHER_WALLET[..place]);
    }
}
