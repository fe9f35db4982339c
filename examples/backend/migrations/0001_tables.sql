-- Both SQLite and PostgreSQL read this. Times are milliseconds since 1970, money is paise.

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    margin_paise BIGINT NOT NULL
);

CREATE TABLE api_keys (
    key_hash TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    expires_at BIGINT NOT NULL
);

CREATE TABLE strategies (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    stop_loss_paise BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    pnl_paise BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX strategies_by_account ON strategies (account_id);

CREATE TABLE strategy_instruments (
    strategy_id TEXT NOT NULL REFERENCES strategies (id) ON DELETE CASCADE,
    instrument TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    entry_price_paise BIGINT NOT NULL,
    PRIMARY KEY (strategy_id, instrument)
);

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    instrument TEXT NOT NULL,
    order_type TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    price_paise BIGINT NOT NULL,
    filled_quantity BIGINT NOT NULL DEFAULT 0,
    fill_price_paise BIGINT,
    state TEXT NOT NULL,
    placed_at BIGINT NOT NULL
);

CREATE INDEX orders_by_account ON orders (account_id, placed_at);
CREATE INDEX orders_open ON orders (placed_at) WHERE state IN ('open', 'partially_filled');

CREATE TABLE statement_transactions (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    day TEXT NOT NULL,
    category TEXT NOT NULL,
    description TEXT NOT NULL,
    amount_paise BIGINT NOT NULL
);

CREATE INDEX statement_transactions_by_account ON statement_transactions (account_id);
