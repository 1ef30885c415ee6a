/* uuid.parse: what a UUID (RFC 4122) says of itself. */
#include "b_common.h"

/* 100 ns steps from 1582-10-15, where the clock of UUIDs starts, to 1970-01-01. */
#define EPOCH_STEPS 122192928000000000u

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool has_urn(const char *text) {
    static const char urn[] = "urn:uuid:";
    for (size_t i = 0; urn[i]; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c | 0x20);
        if (c != urn[i]) return false;
    }
    return true;
}

/* With hyphens, the same behind urn:uuid: or between two bytes (braces, but nobody looks), or 32 digits. */
static bool read(const char *text, size_t len, uint8_t *out) {
    bool hyphens = len != 32;
    if (len == 45) {
        if (!has_urn(text)) return false;
        text += 9;
    } else if (len == 38) {
        text++;
    } else if (len != 36 && len != 32) {
        return false;
    }
    for (int i = 0; i < 16; i++) {
        if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') return false;
        int high = hex_value(text[0]), low = hex_value(text[1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return true;
}

static uint64_t big_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

static const char *variant(uint8_t byte) {
    if ((byte & 0xC0) == 0x80) return "RFC4122";
    if ((byte & 0xE0) == 0xC0) return "Microsoft";
    return (byte & 0xE0) == 0xE0 ? "Future" : "Reserved";
}

static rt_v node(const uint8_t *bytes) {
    rt_sb sb;
    rt_sb_init(&sb, 24);
    for (int i = 0; i < 6; i++) {
        if (i) rt_sb_byte(&sb, '-');
        rt_sb_byte(&sb, "0123456789abcdef"[bytes[i] >> 4]);
        rt_sb_byte(&sb, "0123456789abcdef"[bytes[i] & 15]);
    }
    return rt_sb_string(&sb);
}

static rt_v domain(uint8_t number) {
    static const char *const names[] = {"Person", "Group", "Org"};
    if (number < 3) return rt_string_c(names[number]);
    rt_sb sb;
    rt_sb_init(&sb, 16);
    rt_sb_text(&sb, "Domain");
    rt_sb_int(&sb, number);
    return rt_sb_string(&sb);
}

/* The time, the clock and the card that made it. OPA reads the whole time also where version 2 keeps an id in it. */
static void origin(rt_v out, const uint8_t *bytes) {
    static const char *const addresses[] = {"global:unicast", "global:multicast", "local:unicast", "local:multicast"};
    uint64_t steps =
        (big_endian(bytes + 6, 2) & 0x0FFF) << 48 | big_endian(bytes + 4, 2) << 32 | big_endian(bytes, 4);
    rt_object_put_c(out, "time", rt_int((int64_t)((steps - EPOCH_STEPS) * 100))); /* wraps around, as OPA's does */
    rt_object_put_c(out, "nodeid", node(bytes + 10));
    rt_object_put_c(out, "macvariables", rt_string_c(addresses[bytes[10] & 3]));
    rt_object_put_c(out, "clocksequence", rt_int((int64_t)(big_endian(bytes + 8, 2) & 0x3FFF)));
}

RT_EXPORT rt_v bi_uuid_parse(rt_v text) {
    uint8_t bytes[16];
    B_STRING("uuid.parse", 1, text);
    if (!read(rt_str(text), rt_str_len(text), bytes)) return 0;
    int version = bytes[6] >> 4;
    rt_v out = rt_object(8);
    rt_object_put_c(out, "version", rt_int(version));
    rt_object_put_c(out, "variant", rt_string_c(variant(bytes[8])));
    if (version == 1 || version == 2) origin(out, bytes);
    if (version == 2) {
        rt_object_put_c(out, "id", rt_int((int64_t)big_endian(bytes, 4)));
        rt_object_put_c(out, "domain", domain(bytes[9]));
    }
    return out;
}
