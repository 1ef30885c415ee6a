/* crypto.md5, sha1, sha256 and the HMACs (RFC 1321, FIPS 180-4, RFC 2104), as lower-case hex. For comparing and labelling texts:
 * keys lie in memory as any text of the policy does, and time may depend on the data. */
#include "b_common.h"

#define DIGEST_MAX 64
#define BLOCK_MAX 128

static const uint32_t md5_add[64] = {
    0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE, 0xF57C0FAF, 0x4787C62A,
    0xA8304613, 0xFD469501, 0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE,
    0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821, 0xF61E2562, 0xC040B340,
    0x265E5A51, 0xE9B6C7AA, 0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8,
    0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED, 0xA9E3E905, 0xFCEFA3F8,
    0x676F02D9, 0x8D2A4C8A, 0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C,
    0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70, 0x289B7EC6, 0xEAA127FA,
    0xD4EF3085, 0x04881D05, 0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665,
    0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039, 0x655B59C3, 0x8F0CCC92,
    0xFFEFF47D, 0x85845DD1, 0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1,
    0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391,
};

static const uint32_t sha256_add[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1,
    0x923F82A4, 0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3,
    0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786,
    0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147,
    0x06CA6351, 0x14292967, 0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13,
    0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85, 0xA2BFE8A1, 0xA81A664B,
    0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A,
    0x5B9CCA4F, 0x682E6FF3, 0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208,
    0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

static const uint64_t sha512_add[80] = {
    0x428A2F98D728AE22, 0x7137449123EF65CD, 0xB5C0FBCFEC4D3B2F, 0xE9B5DBA58189DBBC,
    0x3956C25BF348B538, 0x59F111F1B605D019, 0x923F82A4AF194F9B, 0xAB1C5ED5DA6D8118,
    0xD807AA98A3030242, 0x12835B0145706FBE, 0x243185BE4EE4B28C, 0x550C7DC3D5FFB4E2,
    0x72BE5D74F27B896F, 0x80DEB1FE3B1696B1, 0x9BDC06A725C71235, 0xC19BF174CF692694,
    0xE49B69C19EF14AD2, 0xEFBE4786384F25E3, 0x0FC19DC68B8CD5B5, 0x240CA1CC77AC9C65,
    0x2DE92C6F592B0275, 0x4A7484AA6EA6E483, 0x5CB0A9DCBD41FBD4, 0x76F988DA831153B5,
    0x983E5152EE66DFAB, 0xA831C66D2DB43210, 0xB00327C898FB213F, 0xBF597FC7BEEF0EE4,
    0xC6E00BF33DA88FC2, 0xD5A79147930AA725, 0x06CA6351E003826F, 0x142929670A0E6E70,
    0x27B70A8546D22FFC, 0x2E1B21385C26C926, 0x4D2C6DFC5AC42AED, 0x53380D139D95B3DF,
    0x650A73548BAF63DE, 0x766A0ABB3C77B2A8, 0x81C2C92E47EDAEE6, 0x92722C851482353B,
    0xA2BFE8A14CF10364, 0xA81A664BBC423001, 0xC24B8B70D0F89791, 0xC76C51A30654BE30,
    0xD192E819D6EF5218, 0xD69906245565A910, 0xF40E35855771202A, 0x106AA07032BBD1B8,
    0x19A4C116B8D2D0C8, 0x1E376C085141AB53, 0x2748774CDF8EEB99, 0x34B0BCB5E19B48A8,
    0x391C0CB3C5C95A63, 0x4ED8AA4AE3418ACB, 0x5B9CCA4F7763E373, 0x682E6FF3D6B2B8A3,
    0x748F82EE5DEFB2FC, 0x78A5636F43172F60, 0x84C87814A1F0AB72, 0x8CC702081A6439EC,
    0x90BEFFFA23631E28, 0xA4506CEBDE82BDE9, 0xBEF9A3F7B2C67915, 0xC67178F2E372532B,
    0xCA273ECEEA26619C, 0xD186B8C721C0C207, 0xEADA7DD6CDE0EB1E, 0xF57D4F7FEE6ED178,
    0x06F067AA72176FBA, 0x0A637DC5A2C898A6, 0x113F9804BEF90DAE, 0x1B710B35131C471B,
    0x28DB77F523047D84, 0x32CAAB7B40C72493, 0x3C9EBE0A15C9BEBC, 0x431D67C49C100D4C,
    0x4CC5D4BECB3E42B6, 0x597F299CFC657E2A, 0x5FCB6FAB3AD6FAEC, 0x6C44198C4A475817,
};

/* One hash: its sizes in bytes, its first state, and what a block does to the state. Words of 32 bits are kept in 64. */
typedef struct {
    size_t block;
    size_t digest;
    bool little; /* byte order of words and of the length */
    const uint64_t *start;
    void (*compress)(uint64_t *state, const unsigned char *block);
} hash;

static uint32_t left(uint32_t x, unsigned n) { return (x << n) | (x >> (32 - n)); }
static uint32_t right(uint32_t x, unsigned n) { return (x >> n) | (x << (32 - n)); }
static uint64_t right64(uint64_t x, unsigned n) { return (x >> n) | (x << (64 - n)); }

static uint64_t big_end(const unsigned char *bytes, size_t n) {
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++) word = word << 8 | bytes[i];
    return word;
}

static void md5_block(uint64_t *state, const unsigned char *block) {
    static const unsigned char shifts[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
    uint32_t a = (uint32_t)state[0], b = (uint32_t)state[1], c = (uint32_t)state[2], d = (uint32_t)state[3];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t mix;
        unsigned at;
        switch (i / 16) {
        case 0: mix = (b & c) | (~b & d), at = i; break;
        case 1: mix = (d & b) | (~d & c), at = (5 * i + 1) % 16; break;
        case 2: mix = b ^ c ^ d, at = (3 * i + 5) % 16; break;
        default: mix = c ^ (b | ~d), at = 7 * i % 16; break;
        }
        const unsigned char *w = block + 4 * at;
        uint32_t word = w[0] | (uint32_t)w[1] << 8 | (uint32_t)w[2] << 16 | (uint32_t)w[3] << 24;
        uint32_t next = b + left(a + mix + md5_add[i] + word, shifts[i / 16 * 4 + i % 4]);
        a = d;
        d = c;
        c = b;
        b = next;
    }
    const uint32_t sums[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) state[i] = (uint32_t)(state[i] + sums[i]);
}

static void sha1_block(uint64_t *state, const unsigned char *block) {
    uint32_t w[80];
    for (unsigned i = 0; i < 16; i++) w[i] = (uint32_t)big_end(block + 4 * i, 4);
    for (unsigned i = 16; i < 80; i++) w[i] = left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = (uint32_t)state[0], b = (uint32_t)state[1], c = (uint32_t)state[2], d = (uint32_t)state[3], e = (uint32_t)state[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t mix, add;
        switch (i / 20) {
        case 0: mix = (b & c) | (~b & d), add = 0x5A827999; break;
        case 1: mix = b ^ c ^ d, add = 0x6ED9EBA1; break;
        case 2: mix = (b & c) | (b & d) | (c & d), add = 0x8F1BBCDC; break;
        default: mix = b ^ c ^ d, add = 0xCA62C1D6; break;
        }
        uint32_t next = left(a, 5) + mix + e + add + w[i];
        e = d;
        d = c;
        c = left(b, 30);
        b = a;
        a = next;
    }
    const uint32_t sums[] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) state[i] = (uint32_t)(state[i] + sums[i]);
}

static void sha256_block(uint64_t *state, const unsigned char *block) {
    uint32_t w[64], s[8];
    for (unsigned i = 0; i < 16; i++) w[i] = (uint32_t)big_end(block + 4 * i, 4);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (right(x, 7) ^ right(x, 18) ^ x >> 3) + w[i - 7] + (right(y, 17) ^ right(y, 19) ^ y >> 10);
    }
    for (int i = 0; i < 8; i++) s[i] = (uint32_t)state[i];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t one = s[7] + (right(s[4], 6) ^ right(s[4], 11) ^ right(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                       sha256_add[i] + w[i];
        uint32_t two = (right(s[0], 2) ^ right(s[0], 13) ^ right(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int k = 7; k > 0; k--) s[k] = s[k - 1];
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] = (uint32_t)(state[i] + s[i]);
}

static void sha512_block(uint64_t *state, const unsigned char *block) {
    uint64_t w[80], s[8];
    for (unsigned i = 0; i < 16; i++) w[i] = big_end(block + 8 * i, 8);
    for (unsigned i = 16; i < 80; i++) {
        uint64_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + (right64(x, 1) ^ right64(x, 8) ^ x >> 7) + w[i - 7] + (right64(y, 19) ^ right64(y, 61) ^ y >> 6);
    }
    for (int i = 0; i < 8; i++) s[i] = state[i];
    for (unsigned i = 0; i < 80; i++) {
        uint64_t one = s[7] + (right64(s[4], 14) ^ right64(s[4], 18) ^ right64(s[4], 41)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                       sha512_add[i] + w[i];
        uint64_t two =
            (right64(s[0], 28) ^ right64(s[0], 34) ^ right64(s[0], 39)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int k = 7; k > 0; k--) s[k] = s[k - 1];
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

static const uint64_t short_start[8] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
static const uint64_t sha256_start[8] = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
};
static const uint64_t sha512_start[8] = {
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
};

static const hash md5 = {64, 16, true, short_start, md5_block};
static const hash sha1 = {64, 20, false, short_start, sha1_block};
static const hash sha256 = {64, 32, false, sha256_start, sha256_block};
static const hash sha512 = {128, 64, false, sha512_start, sha512_block};

/* The digest of a block (0 = none) followed by a text. */
static void digest(const hash *h, const unsigned char *first, const char *text, size_t len, unsigned char *out) {
    uint64_t state[8];
    memcpy(state, h->start, sizeof state);
    if (first) h->compress(state, first);
    size_t at = 0;
    for (; len - at >= h->block; at += h->block) h->compress(state, (const unsigned char *)text + at);
    unsigned char last[2 * BLOCK_MAX] = {0};
    size_t rest = len - at, room = h->block == BLOCK_MAX ? 16 : 8;
    memcpy(last, text + at, rest);
    last[rest] = 0x80;
    size_t total = rest + 1 + room <= h->block ? h->block : 2 * h->block;
    uint64_t bits = ((uint64_t)len + (first ? h->block : 0)) * 8;
    for (size_t i = 0; i < 8; i++) last[h->little ? total - 8 + i : total - 1 - i] = (unsigned char)(bits >> (8 * i));
    for (size_t i = 0; i < total; i += h->block) h->compress(state, last + i);
    size_t word = h->block / 16;
    for (size_t i = 0; i < h->digest; i++) {
        size_t place = i % word;
        out[i] = (unsigned char)(state[i / word] >> (8 * (h->little ? place : word - 1 - place)));
    }
}

static rt_v hex(const unsigned char *bytes, size_t n) {
    rt_sb sb;
    rt_sb_init(&sb, 2 * n);
    for (size_t i = 0; i < n; i++) {
        rt_sb_byte(&sb, "0123456789abcdef"[bytes[i] >> 4]);
        rt_sb_byte(&sb, "0123456789abcdef"[bytes[i] & 15]);
    }
    return rt_sb_string(&sb);
}

static rt_v hashed(const char *name, const hash *h, rt_v text) {
    B_STRING(name, 1, text);
    unsigned char out[DIGEST_MAX];
    digest(h, 0, rt_str(text), rt_str_len(text), out);
    return hex(out, h->digest);
}

RT_EXPORT rt_v bi_crypto_md5(rt_v text) { return hashed("crypto.md5", &md5, text); }
RT_EXPORT rt_v bi_crypto_sha1(rt_v text) { return hashed("crypto.sha1", &sha1, text); }
RT_EXPORT rt_v bi_crypto_sha256(rt_v text) { return hashed("crypto.sha256", &sha256, text); }

static rt_v mac(const char *name, const hash *h, rt_v text, rt_v key) {
    B_STRING(name, 1, text);
    B_STRING(name, 2, key);
    unsigned char inner[BLOCK_MAX] = {0}, outer[BLOCK_MAX], out[DIGEST_MAX];
    if (rt_str_len(key) > h->block)
        digest(h, 0, rt_str(key), rt_str_len(key), inner);
    else
        memcpy(inner, rt_str(key), rt_str_len(key));
    for (size_t i = 0; i < h->block; i++) {
        outer[i] = inner[i] ^ 0x5C;
        inner[i] ^= 0x36;
    }
    digest(h, inner, rt_str(text), rt_str_len(text), out);
    digest(h, outer, (const char *)out, h->digest, out);
    return hex(out, h->digest);
}

RT_EXPORT rt_v bi_crypto_hmac_md5(rt_v text, rt_v key) { return mac("crypto.hmac.md5", &md5, text, key); }
RT_EXPORT rt_v bi_crypto_hmac_sha1(rt_v text, rt_v key) { return mac("crypto.hmac.sha1", &sha1, text, key); }
RT_EXPORT rt_v bi_crypto_hmac_sha256(rt_v text, rt_v key) { return mac("crypto.hmac.sha256", &sha256, text, key); }
RT_EXPORT rt_v bi_crypto_hmac_sha512(rt_v text, rt_v key) { return mac("crypto.hmac.sha512", &sha512, text, key); }

/* Takes the same time wherever two texts of one length differ. */
RT_EXPORT rt_v bi_crypto_hmac_equal(rt_v a, rt_v b) {
    B_STRING("crypto.hmac.equal", 1, a);
    B_STRING("crypto.hmac.equal", 2, b);
    if (rt_str_len(a) != rt_str_len(b)) return rt_bool(0);
    unsigned different = 0;
    for (size_t i = 0; i < rt_str_len(a); i++) different |= (unsigned char)(rt_str(a)[i] ^ rt_str(b)[i]);
    return rt_bool(different == 0);
}
