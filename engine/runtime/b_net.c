/* net.cidr_*: what a text of an address or a block means, and whether one holds the other. Nothing reaches a network. */
#include "b_common.h"

/* An address, IPv4 in the last four bytes; `bits` of it belong to the block (32 or 128: an address alone). */
typedef struct {
    uint8_t bytes[16];
    uint32_t bits;
    bool four;
} block;

/* Four decimal numbers, no leading zeros. */
static bool read_four(const char *at, const char *end, uint8_t *out) {
    for (int i = 0; i < 4; i++) {
        if (i && (at == end || *at++ != '.')) return false;
        const char *from = at;
        unsigned value = 0;
        while (at < end && (unsigned)(*at - '0') < 10 && at - from < 3) value = value * 10 + (unsigned)(*at++ - '0');
        if (at == from || value > 255 || (*from == '0' && at - from > 1)) return false;
        out[i] = (uint8_t)value;
    }
    return at == end;
}

static int hex_digit(char c) {
    int lower = (unsigned char)c | 0x20;
    if (c >= '0' && c <= '9') return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Eight groups of up to four hexadecimal digits; `::` once for groups of zero; an IPv4 address for the last two. */
static bool read_six(const char *at, const char *end, uint8_t *out) {
    size_t count = 0, gap = SIZE_MAX;
    memset(out, 0, 16);
    if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
        gap = 0;
        at += 2;
    }
    while (at < end) {
        const char *from = at;
        unsigned value = 0;
        while (at < end && hex_digit(*at) >= 0 && at - from < 4) value = value << 4 | (unsigned)hex_digit(*at++);
        if (at < end && *at == '.') {
            if (count > 12 || !read_four(from, end, out + count)) return false;
            count += 4;
            break;
        }
        if (at == from || count > 14) return false;
        out[count++] = (uint8_t)(value >> 8);
        out[count++] = (uint8_t)value;
        if (at == end) break;
        if (*at++ != ':' || at == end) return false;
        if (*at == ':') {
            if (gap != SIZE_MAX) return false;
            gap = count;
            at++;
        }
    }
    if (gap == SIZE_MAX) return count == 16;
    if (count > 14) return false;
    memmove(out + 16 - (count - gap), out + gap, count - gap);
    memset(out + gap, 0, 16 - count);
    return true;
}

static bool is_mapped(const uint8_t *bytes) {
    for (int i = 0; i < 10; i++)
        if (bytes[i]) return false;
    return bytes[10] == 0xFF && bytes[11] == 0xFF;
}

/* An address as OPA takes it: one of IPv6 that maps one of IPv4 is that. */
static bool read_address(const char *at, const char *end, block *out) {
    memset(out->bytes, 0, 12);
    out->four = read_four(at, end, out->bytes + 12);
    if (!out->four && !read_six(at, end, out->bytes)) return false;
    out->bits = out->four ? 32 : 128;
    return true;
}

static void unmap(block *b) {
    if (b->four || b->bits < 96 || !is_mapped(b->bytes)) return;
    b->four = true;
    b->bits -= 96;
    memset(b->bytes, 0, 12);
}

static void clear_host_part(block *b) {
    uint32_t keep = b->four ? b->bits + 96 : b->bits;
    for (uint32_t i = keep / 8; i < 16; i++) b->bytes[i] &= (uint8_t)(i == keep / 8 ? 0xFF00u >> keep % 8 : 0);
}

static bool read_block(rt_v text, block *out) {
    const char *at = rt_str(text), *end = at + rt_str_len(text), *slash = at;
    while (slash < end && *slash != '/') slash++;
    if (slash == end || slash + 1 == end || end - slash > 8 || !read_address(at, slash, out)) return false;
    uint32_t bits = 0;
    for (const char *c = slash + 1; c < end; c++) {
        if ((unsigned)(*c - '0') >= 10) return false;
        bits = bits * 10 + (uint32_t)(*c - '0');
    }
    if (bits > out->bits) return false;
    out->bits = bits;
    clear_host_part(out);
    unmap(out);
    return true;
}

static rt_v bad_text(const char *name, const char *what, rt_v text) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, what);
    rt_sb_value(&sb, text);
    return rt_builtin_error_value(name, rt_sb_string(&sb));
}

static rt_v bad_block(const char *name, rt_v text) { return bad_text(name, "invalid CIDR address: ", text); }

/* Whether the first `bits` of both are the same. */
static bool agree(const block *a, const block *b, uint32_t bits) {
    uint32_t from = a->four ? 12 : 0, whole = bits / 8;
    if (memcmp(a->bytes + from, b->bytes + from, whole) != 0) return false;
    return bits % 8 == 0 || ((a->bytes[from + whole] ^ b->bytes[from + whole]) & (uint8_t)(0xFF00u >> bits % 8)) == 0;
}

static rt_v contains(const char *name, rt_v cidr, rt_v other) {
    block outer, inner;
    B_STRING(name, 1, cidr);
    if (!read_block(cidr, &outer)) return bad_block(name, cidr);
    B_STRING(name, 1, other); /* OPA counts both as the first */
    if (read_address(rt_str(other), rt_str(other) + rt_str_len(other), &inner))
        unmap(&inner);
    else if (!read_block(other, &inner))
        return bad_text(name, "not a valid textual representation of an IP address or CIDR: ", other);
    return rt_bool(outer.four == inner.four && outer.bits <= inner.bits && agree(&outer, &inner, outer.bits));
}

RT_EXPORT rt_v bi_net_cidr_contains(rt_v cidr, rt_v other) { return contains("net.cidr_contains", cidr, other); }
RT_EXPORT rt_v bi_net_cidr_overlap(rt_v cidr, rt_v other) { return contains("net.cidr_overlap", cidr, other); }

RT_EXPORT rt_v bi_net_cidr_intersects(rt_v a, rt_v b) {
    static const char name[] = "net.cidr_intersects";
    block x, y;
    B_STRING(name, 1, a);
    if (!read_block(a, &x)) return bad_block(name, a);
    B_STRING(name, 1, b);
    if (!read_block(b, &y)) return bad_block(name, b);
    return rt_bool(x.four == y.four && agree(&x, &y, x.bits < y.bits ? x.bits : y.bits));
}

RT_EXPORT rt_v bi_net_cidr_is_valid(rt_v cidr) {
    block b;
    return rt_bool(rt_tag(cidr) == RT_STRING && read_block(cidr, &b));
}
