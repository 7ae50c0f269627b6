"""A schema as an application's migrations leave it, and the query of every test."""

from __future__ import annotations

import psycopg

SCHEMA = """
create table customer (id bigint generated always as identity primary key, name text not null unique);
create table product (id bigint generated always as identity primary key, name text not null, price numeric(10, 2));
create table purchase (
    id bigint generated always as identity primary key,
    customer bigint not null references customer,
    product bigint not null references product,
    bought timestamptz not null default now()
);
create index purchase_by_customer on purchase (customer, bought);
create view turnover as select customer, sum(price) total from purchase join product on product = product.id group by 1;
insert into customer (name) select 'customer ' || number from generate_series(1, 500) number;
insert into product (name, price) select 'product ' || number, number from generate_series(1, 100) number;
insert into purchase (customer, product) select 1 + number % 500, 1 + number % 100 from generate_series(1, 2000) number;
"""


def migrate(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA)


def accepts(url: str) -> bool:
    """Tell that a session can be had, or raise: the port is open before, while the server still looks at its files."""
    psycopg.connect(url).close()
    return True


def check(url: str) -> None:
    """Connect, look for what was migrated, and change it: a test that gets another's database fails."""
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from turnover").fetchone() == (500,)
        connection.execute("truncate purchase")
