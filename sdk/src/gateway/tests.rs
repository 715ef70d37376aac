//! A gateway and its buyers in one process, with a chain and a clock that do as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use alloy_primitives::{Address, B256, Bytes};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::*;
use crate::client::{
    AnchoredRoot, BuyerError, ClientError, Coupon, CouponKind, CouponState, CouponStatus,
    GatewayBuyer, RootSource, Sold, Target,
};
use crate::companion::MasterKey;
use crate::gateway::wire::{Problem, Session};
use crate::limits::{GATEWAY_BODY_BYTES_MAX, GATEWAY_PAGE_READINGS_MAX};
use crate::merkle::RecordId;
use crate::readings::{Decimal, Reading};
use crate::wallet::Account;

const SOURCE: B256 = B256::repeat_byte(1);
const LISTING: u64 = 3;
const READINGS: u64 = 1_200;

/// A chain that knows who bought and which coupons were used.
#[derive(Default)]
struct FakeChain {
    buyers: Mutex<BTreeSet<Address>>,
    used: Mutex<BTreeSet<B256>>,
    asked: AtomicU64,
    is_down: Mutex<bool>,
}

impl GatewayChain for FakeChain {
    fn has_access(
        &self,
        listing: u64,
        account: Address,
    ) -> BoxFuture<'_, Result<bool, ChainError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = if *self.is_down.lock() {
            Err(ChainError::Unreachable("down".into()))
        } else {
            Ok(listing == LISTING && self.buyers.lock().contains(&account))
        };
        Box::pin(async move { answer })
    }

    fn coupon_status<'a>(
        &'a self,
        coupon: &'a Coupon,
    ) -> BoxFuture<'a, Result<CouponStatus, ChainError>> {
        let is_used = self.used.lock().contains(&coupon.key());
        let state = if is_used {
            CouponState::Consumed
        } else {
            CouponState::Valid
        };
        let status = CouponStatus {
            state,
            remaining_uses: 1,
            remaining_seconds: 0,
        };
        Box::pin(async move { Ok(status) })
    }

    fn consume(
        &self,
        key: B256,
        _resource: B256,
        holder_signature: Bytes,
    ) -> BoxFuture<'_, Result<B256, ChainError>> {
        let is_signed = holder_signature.len() == 85;
        let answer = if is_signed && self.used.lock().insert(key) {
            Ok(B256::repeat_byte(7))
        } else {
            Err(ChainError::Refused("BadSignature".into()))
        };
        Box::pin(async move { answer })
    }
}

/// A running gateway with `READINGS` readings in two batches.
struct Scene {
    handle: GatewayHandle,
    chain: Arc<FakeChain>,
    companion: Arc<Companion>,
    now_ms: Arc<AtomicU64>,
    buyer: Account,
    _dir: tempfile::TempDir,
}

impl RootSource for Scene {
    fn sold(&self, _: u64) -> BoxFuture<'_, Result<Sold, ClientError>> {
        Box::pin(async { Ok(Sold::Resource(SOURCE)) })
    }

    fn root(&self, source: B256, seq: u64) -> BoxFuture<'_, Result<AnchoredRoot, ClientError>> {
        let batch = self.companion.batch(source, seq).expect("a batch").batch;
        Box::pin(async move {
            Ok(AnchoredRoot {
                root: batch.root,
                count: batch.count,
            })
        })
    }

    fn last_seq(&self, source: B256) -> BoxFuture<'_, Result<u64, ClientError>> {
        let last = self.companion.last_anchored(source).expect("reads");
        Box::pin(async move { Ok(last) })
    }
}

impl Scene {
    async fn new() -> Self {
        Self::with_limits("").await
    }

    async fn with_limits(limits: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let companion = Companion::open(&dir.path().join("db"), MasterKey::from_bytes([1; 32]));
        let companion = Arc::new(companion.expect("opens"));
        for half in [1..=READINGS / 2, READINGS / 2 + 1..=READINGS] {
            let readings = half.map(|n| Reading::new(n * 1_000, "t", Decimal::from(n)));
            let batch = companion
                .prepare(SOURCE, readings.collect())
                .expect("stores");
            companion
                .mark_anchored(SOURCE, batch.seq, B256::ZERO)
                .expect("notes");
        }
        let buyer = Account::random().expect("randomness");
        let chain = Arc::new(FakeChain::default());
        chain.buyers.lock().insert(buyer.address());
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        let clock = now_ms.clone();
        let gateway = Gateway {
            config: config(limits),
            chain_id: 7,
            companion: companion.clone(),
            chain: chain.clone(),
            takes_coupons: true,
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        };
        let handle = gateway.start().await.expect("starts");
        Self {
            handle,
            chain,
            companion,
            now_ms,
            buyer,
            _dir: dir,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.handle.address())
    }

    fn client(&self) -> GatewayBuyer {
        GatewayBuyer::new(&self.url()).expect("a URL")
    }

    async fn session(&self) -> Session {
        self.client()
            .open_session(&self.buyer, LISTING)
            .await
            .expect("opens")
    }

    fn pass(&self, milliseconds: u64) {
        self.now_ms.fetch_add(milliseconds, Ordering::SeqCst);
    }

    async fn first_page_status(&self, session: &Session) -> u16 {
        match self
            .client()
            .page(session, Target::Listing(LISTING), "0", 1)
            .await
        {
            Ok(_) => 200,
            Err(error) => status_of(error),
        }
    }
}

fn config(limits: &str) -> GatewayConfig {
    let text = format!(
        "listen = \"127.0.0.1:0\"\nrpc = \"http://127.0.0.1:1\"\ndata = \"d\"\nmaster_key = \"k\"\n\
         [[listings]]\nid = {LISTING}\nsources = [\"{SOURCE}\"]\n[limits]\n{limits}"
    );
    GatewayConfig::parse(&text, std::path::Path::new("test.toml")).expect("reads")
}

fn status_of(error: BuyerError) -> u16 {
    match error {
        BuyerError::Refused {
            status,
            error,
            hint,
        } => {
            assert!(!error.is_empty() && !hint.is_empty());
            status
        }
        other => panic!("not a refusal: {other}"),
    }
}

fn coupon() -> Coupon {
    Coupon {
        issuer: B256::repeat_byte(1),
        fed: B256::repeat_byte(2),
        kind: CouponKind::Discrete,
        val: 1,
        number: 1,
        issued_at: 1,
        holder: B256::repeat_byte(3),
        scope: B256::ZERO,
    }
}

#[tokio::test]
async fn buyer_with_access_gets_every_reading_proven() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let target = Target::Listing(LISTING);
    let delivery = scene
        .client()
        .fetch_verified(&scene, &session, target)
        .await
        .expect("reads");
    assert_eq!(
        delivery.readings.len(),
        usize::try_from(READINGS).expect("small")
    );
    assert_eq!((delivery.batches, delivery.erased.len()), (2, 0));
    assert_eq!(
        delivery.readings[41].reading,
        Reading::new(42_000, "t", Decimal::from(42))
    );
    scene.handle.shutdown().await.expect("stops");
}

#[tokio::test]
async fn erased_record_is_reported_and_the_rest_still_proves_itself() {
    let scene = Scene::new().await;
    let erased = RecordId {
        source: SOURCE,
        seq: 2,
        index: 5,
    };
    scene.companion.erase(&[erased]).expect("erases");
    let session = scene.session().await;
    let target = Target::Listing(LISTING);
    let delivery = scene
        .client()
        .fetch_verified(&scene, &session, target)
        .await
        .expect("reads");
    assert_eq!(delivery.erased, [erased]);
}

#[tokio::test]
async fn stranger_gets_no_session() {
    let scene = Scene::new().await;
    let stranger = Account::random().expect("randomness");
    let refused = scene
        .client()
        .open_session(&stranger, LISTING)
        .await
        .expect_err("no access");
    assert_eq!(status_of(refused), 403);
    let unknown = scene
        .client()
        .open_session(&scene.buyer, 99)
        .await
        .expect_err("no listing");
    assert_eq!(status_of(unknown), 404);
}

#[tokio::test]
async fn strangers_answer_fills_no_memory_and_works_once_access_is_bought() {
    let scene = Scene::new().await;
    let account = Account::random().expect("randomness");
    let http = reqwest::Client::new();
    let request = wire::ChallengeRequest {
        listing: LISTING,
        account: account.address(),
    };
    let asked = http
        .post(format!("{}/v1/challenge", scene.url()))
        .json(&request);
    let challenge: wire::Challenge = asked
        .send()
        .await
        .expect("answers")
        .json()
        .await
        .expect("a challenge");
    let signature = account
        .sign_message(challenge.text().as_bytes())
        .expect("signs");
    let answer = wire::Answer {
        listing: LISTING,
        account: account.address(),
        expires: challenge.expires,
        nonce: challenge.nonce,
        signature: signature.as_bytes().to_vec().into(),
        scheme: wire::Scheme::Eip191,
    };
    let send = async || {
        let url = format!("{}/v1/session", scene.url());
        let response = http.post(url).json(&answer).send().await.expect("answers");
        response.status().as_u16()
    };
    // Without access nothing is remembered of an answer; with it, the answer works once.
    assert_eq!((send().await, send().await), (403, 403));
    scene.chain.buyers.lock().insert(account.address());
    assert_eq!((send().await, send().await), (200, 401));
}

#[tokio::test]
async fn page_of_long_records_ends_before_it_is_too_large() {
    let scene = Scene::new().await;
    let labels = (0..16).map(|n| (format!("label {n}"), "x".repeat(128)));
    let labels: BTreeMap<_, _> = labels.collect();
    let long = |n: u64| Reading {
        labels: labels.clone(),
        ..Reading::new((READINGS + n) * 1_000, "t", Decimal::from(n))
    };
    let readings = (1..=2_000).map(long).collect();
    let batch = scene.companion.prepare(SOURCE, readings).expect("stores");
    scene
        .companion
        .mark_anchored(SOURCE, batch.seq, B256::ZERO)
        .expect("notes");
    let session = scene.session().await;
    let client = scene.client();
    let target = Target::Listing(LISTING);
    let page = client.page(&session, target, "0-3-0", 500).await;
    let records = page.expect("reads").readings;
    let bytes: usize = records
        .iter()
        .filter_map(|item| item.record.as_ref())
        .map(|record| record.record.len())
        .sum();
    assert!(!records.is_empty() && bytes < 600_000, "{bytes} bytes");
    let all = client.fetch_verified(&scene, &session, target).await;
    assert_eq!(all.expect("reads").readings.len(), 3_200);
}

#[tokio::test]
async fn readings_need_a_living_session() {
    let scene = Scene::new().await;
    let made_up = Session {
        token: "00".repeat(32),
        expires: u64::MAX,
    };
    assert_eq!(scene.first_page_status(&made_up).await, 401);
    let session = scene.session().await;
    assert_eq!(scene.first_page_status(&session).await, 200);
    scene.pass(901_000);
    assert_eq!(scene.first_page_status(&session).await, 401);
}

#[tokio::test]
async fn chain_is_asked_again_after_ten_seconds_and_its_no_closes_the_session() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let asked = || scene.chain.asked.load(Ordering::SeqCst);
    assert_eq!(asked(), 1);
    scene.pass(9_999);
    assert_eq!(scene.first_page_status(&session).await, 200);
    assert_eq!(asked(), 1);
    scene.pass(1);
    assert_eq!(scene.first_page_status(&session).await, 200);
    assert_eq!(asked(), 2);

    scene.chain.buyers.lock().clear();
    scene.pass(10_000);
    assert_eq!(scene.first_page_status(&session).await, 403);
    scene.chain.buyers.lock().insert(scene.buyer.address());
    assert_eq!(scene.first_page_status(&session).await, 401);
}

#[tokio::test]
async fn silent_node_grants_nothing_and_closes_nothing() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    *scene.chain.is_down.lock() = true;
    scene.pass(10_000);
    assert_eq!(scene.first_page_status(&session).await, 502);
    let refused = scene
        .client()
        .open_session(&scene.buyer, LISTING)
        .await
        .expect_err("down");
    assert_eq!(status_of(refused), 502);
    *scene.chain.is_down.lock() = false;
    assert_eq!(scene.first_page_status(&session).await, 200);
}

#[tokio::test]
async fn session_of_one_scope_reads_no_other() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let refused = scene
        .client()
        .page(&session, Target::Resource(SOURCE), "0", 1)
        .await;
    assert_eq!(status_of(refused.expect_err("another scope")), 403);
}

#[tokio::test]
async fn coupon_opens_a_session_once() {
    let scene = Scene::new().await;
    let holder = Account::random().expect("randomness");
    let signature = holder.packed(&holder.sign_message(b"use").expect("signs"));
    let client = scene.client();
    let coupon = coupon();
    let open = || client.open_session_with_coupon(&coupon, SOURCE, signature.clone());
    let session = open().await.expect("opens");
    let target = Target::Resource(SOURCE);
    let delivery = client
        .fetch_verified(&scene, &session, target)
        .await
        .expect("reads");
    assert_eq!(
        delivery.readings.len(),
        usize::try_from(READINGS).expect("small")
    );
    assert_eq!(status_of(open().await.expect_err("used")), 403);
}

#[tokio::test]
async fn coupon_for_a_foreign_resource_or_with_a_bad_signature_is_refused() {
    let scene = Scene::new().await;
    let client = scene.client();
    let foreign = client
        .open_session_with_coupon(&coupon(), B256::ZERO, vec![0; 85].into())
        .await;
    assert_eq!(status_of(foreign.expect_err("not served")), 404);
    let short = client
        .open_session_with_coupon(&coupon(), SOURCE, vec![0; 3].into())
        .await;
    assert_eq!(status_of(short.expect_err("too short")), 400);
    let bad = client
        .open_session_with_coupon(&coupon(), SOURCE, vec![0; 30].into())
        .await;
    assert_eq!(status_of(bad.expect_err("contract refuses")), 403);
    assert!(scene.chain.used.lock().is_empty());
}

#[tokio::test]
async fn gateway_with_another_name_gets_no_signature() {
    let scene = Scene::new().await;
    let through_proxy = scene.client().called("https://data.example");
    let refused = through_proxy.open_session(&scene.buyer, LISTING).await;
    assert!(matches!(refused, Err(BuyerError::ForeignChallenge { .. })));
}

#[tokio::test]
async fn full_house_answers_busy() {
    let scene = Scene::with_limits("sessions = 1").await;
    scene.session().await;
    let other = Account::random().expect("randomness");
    scene.chain.buyers.lock().insert(other.address());
    let refused = scene
        .client()
        .open_session(&other, LISTING)
        .await
        .expect_err("full");
    assert_eq!(status_of(refused), 503);
}

#[tokio::test]
async fn every_wrong_request_is_answered_with_error_and_hint() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let http = reqwest::Client::new();
    let url = scene.url();
    let readings = format!("{url}/v1/listings/{LISTING}/readings");
    let large = "x".repeat(GATEWAY_BODY_BYTES_MAX + 1);
    let requests = [
        (http.get(format!("{url}/nowhere")), 404),
        (http.get(format!("{url}/v1/session")), 405),
        (http.post(format!("{url}/v1/challenge")).body("{"), 400),
        (
            http.post(format!("{url}/v1/challenge"))
                .body("{\"listing\":3,\"account\":\"me\"}"),
            400,
        ),
        (
            http.post(format!("{url}/v1/session")).body(vec![0xFF; 50]),
            400,
        ),
        (http.post(format!("{url}/v1/session")).body(large), 413),
        (http.get(&readings), 401),
        (http.get(&readings).header("Authorization", "Basic x"), 401),
        (
            http.get(format!("{url}/v1/listings/x/readings"))
                .bearer_auth(&session.token),
            400,
        ),
        (
            http.get(format!("{readings}?from=x"))
                .bearer_auth(&session.token),
            400,
        ),
        (
            http.get(format!("{readings}?limit=-1"))
                .bearer_auth(&session.token),
            400,
        ),
        (
            http.get(format!("{url}/v1/resources/0x12/readings"))
                .bearer_auth(&session.token),
            400,
        ),
    ];
    for (request, status) in requests {
        let request = request.build().expect("a request");
        let shown = format!("{} {}", request.method(), request.url());
        let response = http.execute(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{shown}");
        let body = response.bytes().await.expect("a body");
        let problem: Problem = serde_json::from_slice(&body).expect("JSON");
        assert!(
            !problem.error.is_empty() && !problem.hint.is_empty(),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn page_is_bounded_whatever_is_asked_for() {
    let scene = Scene::new().await;
    let session = scene.session().await;
    let page = scene
        .client()
        .page(&session, Target::Listing(LISTING), "", 1_000_000)
        .await;
    let page = page.expect("reads");
    assert_eq!(page.readings.len(), GATEWAY_PAGE_READINGS_MAX);
    assert!(page.next.is_some());
}

#[tokio::test]
async fn health_and_listings_are_open_to_everybody() {
    let scene = Scene::new().await;
    let health = reqwest::get(format!("{}/healthz", scene.url()))
        .await
        .expect("an answer");
    assert!(health.text().await.expect("text").contains("\"ok\""));
    let listings = scene.client().listings().await.expect("reads").listings;
    assert_eq!(
        (listings[0].id, listings[0].sources[0].batches),
        (LISTING, 2)
    );
}

#[tokio::test]
async fn taken_port_is_a_clear_error() {
    let scene = Scene::new().await;
    let mut config = config("");
    config.listen = scene.handle.address();
    let second = Gateway {
        config,
        chain_id: 7,
        companion: scene.companion.clone(),
        chain: scene.chain.clone(),
        takes_coupons: false,
        clock: Arc::new(|| 0),
    };
    let error = second
        .start()
        .await
        .expect_err("the port is taken")
        .to_string();
    assert!(
        error.contains(&scene.handle.address().to_string()),
        "{error}"
    );
}

/// What a dishonest gateway might do to a page on its way, and that the buyer sees it.
mod dishonest {
    use super::*;
    use crate::gateway::wire::Page;
    use axum::extract::Query;
    use axum::routing::get;
    use axum::{Json, Router};

    async fn delivery_of(change: fn(&mut Page)) -> Result<usize, BuyerError> {
        let scene = Scene::new().await;
        let session = scene.session().await;
        let (client, bearer) = (scene.client(), session.clone());
        let pass_on = move |Query(query): Query<BTreeMap<String, String>>| async move {
            let from = query.get("from").cloned().unwrap_or_default();
            let page = client
                .page(&bearer, Target::Listing(LISTING), &from, 500)
                .await;
            let mut page = page.expect("the honest gateway answers");
            change(&mut page);
            Json(page)
        };
        let router = Router::new().route("/v1/listings/{id}/readings", get(pass_on));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let buyer = GatewayBuyer::new(&url).expect("a URL");
        let target = Target::Listing(LISTING);
        let delivery = buyer.fetch_verified(&scene, &session, target).await;
        server.abort();
        delivery.map(|delivery| delivery.readings.len())
    }

    #[tokio::test]
    async fn unchanged_pages_pass() {
        assert_eq!(delivery_of(|_| {}).await.expect("reads"), 1_200);
    }

    #[tokio::test]
    async fn altered_value_is_named() {
        let altered = delivery_of(|page| {
            let record = page.readings[7].record.as_mut().expect("a record");
            record.record = record.record.replace("\"value\":\"", "\"value\":\"9");
        });
        assert!(matches!(altered.await, Err(BuyerError::Unproven(id)) if id.index == 7));
    }

    #[tokio::test]
    async fn left_out_repeated_or_exchanged_records_are_noticed() {
        let left_out = delivery_of(|page| {
            page.readings.remove(3);
        });
        assert!(matches!(left_out.await, Err(BuyerError::Incomplete { .. })));
        let repeated = delivery_of(|page| {
            let first = page.readings[0].clone();
            page.readings.insert(0, first);
        });
        assert!(matches!(repeated.await, Err(BuyerError::Incomplete { .. })));
        let cut_off = delivery_of(|page| {
            page.readings.truncate(10);
            page.next = None;
        });
        assert!(matches!(
            cut_off.await,
            Err(BuyerError::Incomplete { found: 10, .. })
        ));
    }

    #[tokio::test]
    async fn withheld_batch_is_reported() {
        let scene = Scene::new().await;
        let session = scene.session().await;
        let last = scene
            .companion
            .prepare(SOURCE, vec![Reading::new(9_000_000, "t", Decimal::from(1))]);
        let honest = scene.client();
        let target = Target::Listing(LISTING);
        let delivery = honest
            .fetch_verified(&scene, &session, target)
            .await
            .expect("reads");
        assert_eq!(delivery.withheld, []);
        let seq = last.expect("stores").seq;
        struct Later(Scene);
        impl RootSource for Later {
            fn sold(&self, listing: u64) -> BoxFuture<'_, Result<Sold, ClientError>> {
                self.0.sold(listing)
            }
            fn root(
                &self,
                source: B256,
                seq: u64,
            ) -> BoxFuture<'_, Result<AnchoredRoot, ClientError>> {
                self.0.root(source, seq)
            }
            fn last_seq(&self, _: B256) -> BoxFuture<'_, Result<u64, ClientError>> {
                Box::pin(async { Ok(3) })
            }
        }
        let later = Later(scene);
        let delivery = honest
            .fetch_verified(&later, &session, target)
            .await
            .expect("reads");
        assert_eq!(delivery.withheld, [(SOURCE, seq)]);
    }

    #[tokio::test]
    async fn nothing_at_all_is_no_delivery_of_what_was_sold() {
        let scene = Scene::new().await;
        let session = scene.session().await;
        let router = Router::new().route(
            "/v1/listings/{id}/readings",
            get(|| async {
                Json(Page {
                    readings: Vec::new(),
                    next: None,
                })
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let buyer = GatewayBuyer::new(&url).expect("a URL");
        let target = Target::Listing(LISTING);
        let delivery = buyer.fetch_verified(&scene, &session, target).await;
        server.abort();
        let delivery = delivery.expect("reads");
        assert_eq!(delivery.withheld, [(SOURCE, 1), (SOURCE, 2)]);
    }

    #[tokio::test]
    async fn pages_without_an_end_are_given_up() {
        let endless = delivery_of(|page| {
            page.readings.clear();
            page.next = Some("0-1-0".into());
        });
        assert!(matches!(endless.await, Err(BuyerError::BadAnswer { .. })));
    }
}
