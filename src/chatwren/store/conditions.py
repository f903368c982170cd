"""What several statements ask of a message, in the same words."""

WAITS = "m.status <= 'sending' AND m.status = 'waiting'"
"""SQL: the message m waits. The first half is, word for word, the condition of the indexes that hold what is up to
`sending`. PostgreSQL concludes it from the second, as long as that has a literal; said, it does not hang on that."""


MESSAGE_OF_ROW = "LATERAL (SELECT * FROM message WHERE id = r.message_id OFFSET 0) AS m"
"""SQL, to be joined to r, as to the row of a bulk: the message m of its message_id. By OFFSET 0 it is looked up by
that, whatever else is asked of it. Else it might be by the index of an account or user: while statistics do not know
these, that seems to lead to one message, and leads to all that there are, for each row again."""


def may_go(account: str) -> str:
    """SQL: nothing keeps the message m of that account back but the account itself, and what goes before it.

    Args:
        account: the SQL expression of the account's id.
    """
    return f"""{WAITS} AND m.due <= now() AND (m.expires_at IS NULL OR m.expires_at > now()) AND NOT EXISTS (
       SELECT FROM contact c WHERE c.account_id = {account} AND c.address = m.recipient AND c.retry_at > now()
     )"""
