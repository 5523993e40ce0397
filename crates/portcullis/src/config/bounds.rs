//! Every default and every bound of a number, in one place.

use super::quantity::{Count, Range, Size, Span};

/// The file itself; a larger one is refused before it is parsed.
pub(super) const MAX_FILE_BYTES: usize = 1 << 20;

pub(super) const LISTEN: &str = "127.0.0.1:8848";
pub(super) const ADMIN: &str = "127.0.0.1:8849";
pub(super) const ADMIN_API: &str = "127.0.0.1:8850";
pub(super) const ALGORITHMS: &[&str] = &["RS256", "PS256", "ES256", "EdDSA"];
pub(super) const TOKEN_TYPES: &[&str] = &["at+jwt"];
pub(super) const ROLES_CLAIM: &str = "roles";
pub(super) const GROUPS_CLAIM: &str = "groups";
pub(super) const SCOPE_CLAIM: &str = "scope";
pub(super) const SUBJECT_CLAIM: &str = "sub";
/// What `OpenID` Connect Core sections 2 and 3.3.2.11 put into ID tokens, and nobody into access tokens.
pub(super) const FORBIDDEN_CLAIMS: &[&str] = &["nonce", "at_hash", "c_hash"];
pub(super) const ATTRIBUTE: &str = "externalId";
pub(super) const DPOP: &str = "accepted";
pub(super) const MTLS: &str = "off";
pub(super) const CATALOG: &str = "pin";
pub(super) const INSPECT: &str = "observe";
pub(super) const SPOTLIGHT: &str = "off";

const DAY: u64 = 86_400;

const fn spans(default: Span, least: Span, most: Span) -> Range<Span> {
    Range {
        default,
        least,
        most,
    }
}

const fn sizes(default: Size, least: Size, most: Size) -> Range<Size> {
    Range {
        default,
        least,
        most,
    }
}

const fn counts(default: u32, least: u32, most: u32) -> Range<Count> {
    Range {
        default: Count(default),
        least: Count(least),
        most: Count(most),
    }
}

pub(super) const DRAIN: Range<Span> = spans(Span::secs(10), Span::secs(0), Span::secs(600));

pub(super) const BODY: Range<Size> = sizes(Size::mib(4), Size::kib(1), Size::mib(64));
pub(super) const HEADER_TIMEOUT: Range<Span> = spans(Span::secs(10), Span::secs(1), Span::secs(60));
pub(super) const BODY_TIMEOUT: Range<Span> = spans(Span::secs(30), Span::secs(1), Span::secs(600));
pub(super) const CONNECTIONS: Range<Count> = counts(4096, 1, 1_000_000);
pub(super) const UPSTREAM_TIMEOUT: Range<Span> =
    spans(Span::secs(120), Span::millis(100), Span::secs(3600));
pub(super) const QUESTION_TIMEOUT: Range<Span> =
    spans(Span::secs(300), Span::secs(1), Span::secs(3600));
pub(super) const RESPONSE: Range<Size> = sizes(Size::mib(16), Size::kib(1), Size::mib(256));
pub(super) const MAX_PROCESSES: Range<Count> = counts(16, 1, 1024);

pub(super) const SANDBOX_MEMORY: Range<Size> =
    sizes(Size::mib(512), Size::mib(16), Size::mib(1 << 20));
pub(super) const SANDBOX_PROCESSES: Range<Count> = counts(32, 1, 65_536);
pub(super) const SCRATCH: Range<Size> = sizes(Size::mib(64), Size::mib(1), Size::mib(1 << 16));

pub(super) const IDLE: Range<Span> = spans(Span::secs(1800), Span::secs(10), Span::secs(DAY));
pub(super) const ABSOLUTE: Range<Span> =
    spans(Span::secs(DAY), Span::secs(60), Span::secs(7 * DAY));
pub(super) const MAX_SESSIONS: Range<Count> = counts(10_000, 1, 1_000_000);
pub(super) const MAX_PER_PRINCIPAL: Range<Count> = counts(256, 1, 1_000_000);

pub(super) const REQUESTS: Range<Count> = counts(600, 1, 1_000_000);
pub(super) const BURST: Range<Count> = counts(100, 1, 1_000_000);
pub(super) const CONCURRENCY: Range<Count> = counts(32, 1, 100_000);
pub(super) const BYTES: Range<Size> = sizes(Size::mib(256), Size::kib(64), Size::mib(1 << 20));
pub(super) const TOOL_REQUESTS: Range<Count> = counts(600, 1, 1_000_000);
pub(super) const ELEVATION: Range<Span> =
    spans(Span::secs(3600), Span::secs(1), Span::secs(86_400));
pub(super) const APPROVAL: Range<Span> = spans(Span::secs(300), Span::secs(1), Span::secs(3600));
pub(super) const RISK: &str = "low";
pub(super) const APPROVALS: Range<Count> = counts(1, 1, 2);
pub(super) const OVER: Range<Count> = counts(0, 0, 99);
pub(super) const INSPECT_SCORE: Range<Count> = counts(70, 1, 100);
pub(super) const ADMIN_REQUESTS: Range<Count> = counts(120, 1, 100_000);
pub(super) const UPSTREAM_CONCURRENCY: Range<Count> = counts(256, 1, 100_000);

pub(super) const DURABILITY: Range<Span> = spans(Span::millis(50), Span::millis(1), Span::secs(1));
pub(super) const RECHECK: Range<Span> = spans(Span::secs(60), Span::secs(1), Span::secs(3600));
pub(super) const SIGN_WITHIN: Range<Span> = spans(Span::secs(30), Span::secs(1), Span::secs(600));
pub(super) const KEEP: Range<Span> = spans(
    Span::secs(90 * 86_400),
    Span::secs(3600),
    Span::secs(10 * 365 * 86_400),
);
pub(super) const KEEP_BYTES: Range<Size> = sizes(Size::mib(1024), Size::mib(4), Size::mib(1 << 24));
pub(super) const ROTATE: Range<Size> = sizes(Size::mib(64), Size::mib(1), Size::mib(4096));

pub(super) const MAX_LIFETIME: Range<Span> =
    spans(Span::secs(DAY), Span::secs(60), Span::secs(7 * DAY));
pub(super) const SKEW: Range<Span> = spans(Span::secs(30), Span::secs(0), Span::secs(60));

pub(super) const MAX_AGE: Range<Span> =
    spans(Span::secs(900), Span::secs(1), Span::secs(365 * DAY));

pub(super) const ASKED: Range<Span> = spans(Span::secs(30), Span::secs(1), Span::secs(300));

pub(super) const STALE: Range<Span> = spans(Span::secs(300), Span::secs(2), Span::secs(DAY));
pub(super) const ON_STALE: &str = "record";

pub(super) const ASSERTION: Range<Span> = spans(Span::secs(60), Span::secs(5), Span::secs(300));
pub(super) const SUBJECT: &str = "plain";
pub(super) const SECRET_TTL: Range<Span> =
    spans(Span::secs(900), Span::secs(1), Span::secs(7 * DAY));
pub(super) const APP_ROLE_MOUNT: &str = "approle";
pub(super) const KUBERNETES_MOUNT: &str = "kubernetes";
pub(super) const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
pub(super) const ENTRA: &str = "https://login.microsoftonline.com";

/// Secrets that are kept elsewhere: each costs a wait.
pub(super) const MAX_BORROWED: usize = 256;
pub(super) const CLIENT_AUTH: &str = "client_secret_basic";
pub(super) const SUBJECT_TOKEN: &str = "access_token";
pub(super) const TOKEN_AGE: Range<Span> = spans(Span::secs(60), Span::secs(2), Span::secs(3600));

pub(super) const REVIEW_EVERY: Range<Span> = spans(
    Span::secs(90 * DAY),
    Span::secs(1),
    Span::secs(3 * 365 * DAY),
);
pub(super) const REVIEW_WITHIN: Range<Span> =
    spans(Span::secs(14 * DAY), Span::secs(1), Span::secs(90 * DAY));
/// Shorter, and too many of before could count.
pub(super) const ROTATE_EVERY: Range<Span> = spans(
    Span::secs(90 * DAY),
    Span::secs(DAY),
    Span::secs(3650 * DAY),
);
pub(super) const ACCESS: Range<Span> = spans(Span::secs(600), Span::secs(10), Span::secs(900));
pub(super) const REFRESH: Range<Span> =
    spans(Span::secs(7 * DAY), Span::secs(60), Span::secs(90 * DAY));
pub(super) const FAMILY: Range<Span> =
    spans(Span::secs(30 * DAY), Span::secs(60), Span::secs(30 * DAY)); // as long as what is revoked is kept
pub(super) const GROUPED: Range<Span> =
    spans(Span::secs(7 * DAY), Span::secs(60), Span::secs(30 * DAY));
pub(super) const CONSENTS: Range<Span> =
    spans(Span::secs(30 * DAY), Span::secs(60), Span::secs(365 * DAY));
pub(super) const REGISTERED: Range<Span> =
    spans(Span::secs(30 * DAY), Span::secs(60), Span::secs(365 * DAY));
pub(super) const OF_NETWORK: Range<Count> = counts(20, 1, 10_000);
pub(super) const WINDOW: Range<Span> = spans(Span::secs(60), Span::secs(1), Span::secs(3600));
pub(super) const INVALID: Range<Count> = counts(50, 1, 1_000_000);
pub(super) const KMH: Range<Count> = counts(1000, 100, 100_000);
pub(super) const PROBED: Range<Count> = counts(3, 2, 64);
pub(super) const SEVERITY: &str = "medium";
pub(super) const ALERTS: Range<Count> = counts(60, 1, 10_000);
pub(super) const REPEAT: Range<Span> = spans(Span::secs(300), Span::secs(0), Span::secs(DAY));
pub(super) const GIVE_UP: Range<Span> =
    spans(Span::secs(DAY), Span::secs(10), Span::secs(30 * DAY));
/// Destinations of alerts, and events that one of them is told of.
pub(super) const MAX_ALERTS: usize = 8;
pub(super) const MAX_WATCHED: usize = 64;
pub(super) const PREFIX_V4: Range<Count> = counts(24, 8, 32);
pub(super) const PREFIX_V6: Range<Count> = counts(48, 16, 128);

/// How a client gets tokens, if nothing else is written.
pub(super) const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
/// Entries of one list or one table, so that a mistake cannot become a million checks.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// The most names of one certificate, and addresses of whoever asks for it.
pub(super) const ACME_NAMES: usize = 32;
pub(super) const ACME_CONTACTS: usize = 8;
pub(super) const ACME_ID_BYTES: usize = 512;
pub(super) const ACME_KEY_BYTES: usize = 16;

/// Keys that are pinned for one peer.
pub(super) const PINS: std::ops::RangeInclusive<usize> = 2..=16;

/// Scopes that stand in one table of those that imply others.
pub(super) const MAX_IMPLIED: usize = 256;

/// Named networks, and claims of one issuer that policies can speak of.
pub(super) const MAX_ZONES: usize = 64;
pub(super) const MAX_DECLARED: usize = 64;

/// Issuers, each of which stands on every server.
pub(super) const MAX_ISSUERS: usize = 64;

/// Places inside that other parties may name.
pub(super) const MAX_ALLOWED: usize = 256;

/// Problems that are told at once; who has more will read the file again anyway.
pub(super) const MAX_PROBLEMS: usize = 100;
