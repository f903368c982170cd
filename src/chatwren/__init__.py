"""Chatwren: WhatsApp automation that a business can lean on."""
