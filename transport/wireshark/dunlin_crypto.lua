-- The cryptography that opens sealed packets of Dunlin, in plain Lua: SHA-256, HMAC, HKDF labels,
-- AES and GCM, ChaCha20 and Poly1305, CRC-32. Wireshark gives Lua none of these. For reading
-- captures only: nothing here runs in constant time.
--
-- Strings of bytes in, strings of bytes out.

local M = {}

-- Bitwise operations on 32 bits: a library in Lua 5.2, operators from 5.3 on.
local ops = bit32
if not ops then
    ops = load([[
        local function r(x, n) x = x & 0xffffffff; return ((x >> n) | (x << (32 - n))) & 0xffffffff end
        return {
            band = function(a, b) return a & b & 0xffffffff end,
            bor = function(a, b) return (a | b) & 0xffffffff end,
            bxor = function(a, b, c, d)
                return (a ~ b ~ (c or 0) ~ (d or 0)) & 0xffffffff
            end,
            bnot = function(a) return ~a & 0xffffffff end,
            lshift = function(a, n) return (a << n) & 0xffffffff end,
            rshift = function(a, n) return (a & 0xffffffff) >> n end,
            rrotate = r,
            lrotate = function(x, n) return r(x, (32 - n) & 31) end,
        }
    ]])()
end
local band, bor, bxor, bnot = ops.band, ops.bor, ops.bxor, ops.bnot
local lshift, rshift, rrotate, lrotate = ops.lshift, ops.rshift, ops.rrotate, ops.lrotate
local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local floor = math.floor

local function word_be(s, at)
    local a, b, c, d = byte(s, at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

local function word_le(s, at)
    local a, b, c, d = byte(s, at, at + 3)
    return ((d * 256 + c) * 256 + b) * 256 + a
end

local function bytes_be(w)
    return char(floor(w / 16777216) % 256, floor(w / 65536) % 256, floor(w / 256) % 256, w % 256)
end

local function bytes_le(w)
    return char(w % 256, floor(w / 256) % 256, floor(w / 65536) % 256, floor(w / 16777216) % 256)
end

-- XOR of two strings, as long as the shorter one.
local function xor(a, b)
    local out, n = {}, math.min(#a, #b)
    for start = 1, n, 64 do
        local last = math.min(start + 63, n)
        local x, y = { byte(a, start, last) }, { byte(b, start, last) }
        for i = 1, #x do
            x[i] = bxor(x[i], y[i])
        end
        out[#out + 1] = char(table.unpack(x))
    end
    return table.concat(out)
end

M.xor = xor

function M.from_hex(text)
    return (text:gsub("%x%x", function(pair)
        return char(tonumber(pair, 16))
    end))
end

-- CRC-32 (IEEE 802.3, reflected) ------------------------------------------------------------------

local crc_table = {}
for i = 0, 255 do
    local c = i
    for _ = 1, 8 do
        c = band(c, 1) == 1 and bxor(rshift(c, 1), 0xedb88320) or rshift(c, 1)
    end
    crc_table[i] = c
end

-- `before` is the CRC of the bytes in front (0: none).
function M.crc32(s, before)
    local c = bnot(before or 0)
    for i = 1, #s do
        c = bxor(rshift(c, 8), crc_table[band(bxor(c, byte(s, i)), 255)])
    end
    return bnot(c)
end

-- SHA-256 (FIPS 180-4), HMAC (RFC 2104), labels of docs/session.md S-SUITE-6 -----------------------

-- The fractional parts of the roots of the first primes, as the standard has them.
local round_constants, initial = {}, {}
do
    -- A double holds 32 bits of the fraction of these roots with bits to spare.
    local function is_prime(n)
        for d = 2, floor(math.sqrt(n)) do
            if n % d == 0 then
                return false
            end
        end
        return true
    end
    local function fraction(x)
        return floor((x - floor(x)) * 4294967296)
    end
    local n, count = 2, 0
    while count < 64 do
        if is_prime(n) then
            count = count + 1
            local root = n ^ (1 / 3)
            -- One Newton step takes off the rounding of the power function.
            root = root - (root * root * root - n) / (3 * root * root)
            round_constants[count] = fraction(root)
            if count <= 8 then
                initial[count] = fraction(math.sqrt(n))
            end
        end
        n = n + 1
    end
end

function M.sha256(message)
    local h = { table.unpack(initial) }
    local length = #message
    local padded = message .. "\128" .. rep("\0", (55 - length) % 64) .. bytes_be(floor(length / 536870912))
        .. bytes_be(length * 8 % 4294967296)
    local w = {}
    for start = 1, #padded, 64 do
        for i = 1, 16 do
            w[i] = word_be(padded, start + 4 * (i - 1))
        end
        for i = 17, 64 do
            local x, y = w[i - 15], w[i - 2]
            local s0 = bxor(rrotate(x, 7), rrotate(x, 18), rshift(x, 3))
            local s1 = bxor(rrotate(y, 17), rrotate(y, 19), rshift(y, 10))
            w[i] = (w[i - 16] + s0 + w[i - 7] + s1) % 4294967296
        end
        local a, b, c, d, e, f, g, i_h = table.unpack(h)
        for i = 1, 64 do
            local s1 = bxor(rrotate(e, 6), rrotate(e, 11), rrotate(e, 25))
            local choice = bxor(band(e, f), band(bnot(e), g))
            local t1 = i_h + s1 + choice + round_constants[i] + w[i]
            local s0 = bxor(rrotate(a, 2), rrotate(a, 13), rrotate(a, 22))
            local majority = bxor(band(a, b), band(a, c), band(b, c))
            i_h, g, f = g, f, e
            e = (d + t1) % 4294967296
            d, c, b = c, b, a
            a = (t1 + s0 + majority) % 4294967296
        end
        local sums = { a, b, c, d, e, f, g, i_h }
        for i = 1, 8 do
            h[i] = (h[i] + sums[i]) % 4294967296
        end
    end
    local out = {}
    for i = 1, 8 do
        out[i] = bytes_be(h[i])
    end
    return table.concat(out)
end

function M.hmac(key, message)
    if #key > 64 then
        key = M.sha256(key)
    end
    key = key .. rep("\0", 64 - #key)
    local inner = M.sha256(xor(key, rep("\54", 64)) .. message)
    return M.sha256(xor(key, rep("\92", 64)) .. inner)
end

function M.label(secret, label, length)
    local name = "dunlin1 " .. label
    local info = char(floor(length / 256), length % 256, #name) .. name .. "\0"
    local out, block = "", ""
    local counter = 1
    while #out < length do
        block = M.hmac(secret, block .. info .. char(counter))
        out = out .. block
        counter = counter + 1
    end
    return sub(out, 1, length)
end

-- AES with keys of 128 and 256 bits (FIPS 197), encryption only -------------------------------------

local sbox, t0, t1, t2, t3 = {}, {}, {}, {}, {}
do
    local function double(x)
        x = x * 2
        return x > 255 and bxor(x, 0x11b) or x
    end
    -- Powers of the generator 3 give inverses.
    local log, power, x = {}, {}, 1
    for i = 0, 254 do
        log[x], power[i] = i, x
        x = bxor(x, double(x))
    end
    for i = 0, 255 do
        local inverse = i == 0 and 0 or power[(255 - log[i]) % 255]
        local s, r = inverse, inverse
        for _ = 1, 4 do
            r = bor(band(lshift(r, 1), 255), rshift(r, 7))
            s = bxor(s, r)
        end
        s = bxor(s, 0x63)
        sbox[i] = s
        local two = double(s)
        local three = bxor(two, s)
        t0[i] = ((two * 256 + s) * 256 + s) * 256 + three
        t1[i] = rrotate(t0[i], 8)
        t2[i] = rrotate(t0[i], 16)
        t3[i] = rrotate(t0[i], 24)
    end
end

local function sub_word(w)
    return ((sbox[rshift(w, 24)] * 256 + sbox[band(rshift(w, 16), 255)]) * 256
        + sbox[band(rshift(w, 8), 255)]) * 256 + sbox[band(w, 255)]
end

-- The round keys.
local function aes_keys(key)
    local w, rcon = {}, 1
    local words = #key / 4
    for i = 0, words - 1 do
        w[i] = word_be(key, 4 * i + 1)
    end
    w.rounds = words + 6
    for i = words, 4 * w.rounds + 3 do
        local t = w[i - 1]
        if i % words == 0 then
            t = bxor(sub_word(lrotate(t, 8)), rcon * 16777216)
            rcon = rcon * 2
            rcon = rcon > 255 and bxor(rcon, 0x11b) or rcon
        end
        if words > 6 and i % words == 4 then
            t = sub_word(t)
        end
        w[i] = bxor(w[i - words], t)
    end
    return w
end

local function aes_block(w, a, b, c, d)
    a, b, c, d = bxor(a, w[0]), bxor(b, w[1]), bxor(c, w[2]), bxor(d, w[3])
    local n = 4 * w.rounds
    for i = 4, n - 4, 4 do
        local e = bxor(bxor(t0[rshift(a, 24)], t1[band(rshift(b, 16), 255)]),
            bxor(t2[band(rshift(c, 8), 255)], t3[band(d, 255)]), w[i])
        local f = bxor(bxor(t0[rshift(b, 24)], t1[band(rshift(c, 16), 255)]),
            bxor(t2[band(rshift(d, 8), 255)], t3[band(a, 255)]), w[i + 1])
        local g = bxor(bxor(t0[rshift(c, 24)], t1[band(rshift(d, 16), 255)]),
            bxor(t2[band(rshift(a, 8), 255)], t3[band(b, 255)]), w[i + 2])
        local h = bxor(bxor(t0[rshift(d, 24)], t1[band(rshift(a, 16), 255)]),
            bxor(t2[band(rshift(b, 8), 255)], t3[band(c, 255)]), w[i + 3])
        a, b, c, d = e, f, g, h
    end
    local function last(p, q, r, s, key)
        return bxor(((sbox[rshift(p, 24)] * 256 + sbox[band(rshift(q, 16), 255)]) * 256
            + sbox[band(rshift(r, 8), 255)]) * 256 + sbox[band(s, 255)], key)
    end
    return last(a, b, c, d, w[n]), last(b, c, d, a, w[n + 1]), last(c, d, a, b, w[n + 2]), last(d, a, b, c, w[n + 3])
end

-- GCM (NIST SP 800-38D) ----------------------------------------------------------------------------

-- What leaves a number at its low end, four bits at a time, comes back at its high end.
local reduction = {}
for i = 0, 15 do
    local high, low = 0, i
    for _ = 1, 4 do
        local carry = band(low, 1)
        low, high = rshift(low, 1), rshift(high, 1)
        high = carry == 1 and bxor(high, 0xe1000000) or high
    end
    reduction[i] = high
end

-- Multiples of the hash key by all values of four bits.
local function ghash_table(w)
    local a, b, c, d = aes_block(w, 0, 0, 0, 0)
    local m = { [0] = { 0, 0, 0, 0 } }
    m[8] = { a, b, c, d }
    local i = 4
    while i >= 1 do
        local carry = band(d, 1)
        d = bor(rshift(d, 1), lshift(band(c, 1), 31))
        c = bor(rshift(c, 1), lshift(band(b, 1), 31))
        b = bor(rshift(b, 1), lshift(band(a, 1), 31))
        a = rshift(a, 1)
        if carry == 1 then
            a = bxor(a, 0xe1000000)
        end
        m[i] = { a, b, c, d }
        i = floor(i / 2)
    end
    for _, base in ipairs({ 2, 4, 8 }) do
        for j = 1, base - 1 do
            local x, y = m[base], m[j]
            m[base + j] = { bxor(x[1], y[1]), bxor(x[2], y[2]), bxor(x[3], y[3]), bxor(x[4], y[4]) }
        end
    end
    return m
end

local function ghash_words(m, a, b, c, d)
    local z1, z2, z3, z4 = 0, 0, 0, 0
    for _, word in ipairs({ d, c, b, a }) do
        for shift = 0, 28, 4 do
            local out = band(z4, 15)
            z4 = bor(rshift(z4, 4), lshift(band(z3, 15), 28))
            z3 = bor(rshift(z3, 4), lshift(band(z2, 15), 28))
            z2 = bor(rshift(z2, 4), lshift(band(z1, 15), 28))
            z1 = bxor(rshift(z1, 4), reduction[out])
            local e = m[band(rshift(word, shift), 15)]
            z1, z2, z3, z4 = bxor(z1, e[1]), bxor(z2, e[2]), bxor(z3, e[3]), bxor(z4, e[4])
        end
    end
    return z1, z2, z3, z4
end

local function ghash(m, data)
    local a, b, c, d = 0, 0, 0, 0
    for at = 1, #data, 16 do
        a, b, c, d = bxor(a, word_be(data, at)), bxor(b, word_be(data, at + 4)),
            bxor(c, word_be(data, at + 8)), bxor(d, word_be(data, at + 12))
        a, b, c, d = ghash_words(m, a, b, c, d)
    end
    return bytes_be(a) .. bytes_be(b) .. bytes_be(c) .. bytes_be(d)
end

local function padded(s)
    return s .. rep("\0", -#s % 16)
end

local Aes = {}
Aes.__index = Aes

-- AES-GCM under `key`, of 16 or 32 bytes.
function M.aes_gcm(key)
    local w = aes_keys(key)
    return setmetatable({ w = w }, Aes)
end

function Aes:keystream(nonce, first, length)
    local a, b, c = word_be(nonce, 1), word_be(nonce, 5), word_be(nonce, 9)
    local out = {}
    for i = 0, floor((length + 15) / 16) - 1 do
        local p, q, r, s = aes_block(self.w, a, b, c, first + i)
        out[#out + 1] = bytes_be(p) .. bytes_be(q) .. bytes_be(r) .. bytes_be(s)
    end
    return table.concat(out)
end

function Aes:decrypt(nonce, text)
    return xor(text, self:keystream(nonce, 2, #text))
end

function Aes:tag(nonce, associated, text)
    self.table = self.table or ghash_table(self.w)
    local lengths = bytes_be(0) .. bytes_be(#associated * 8) .. bytes_be(0) .. bytes_be(#text * 8)
    local hash = ghash(self.table, padded(associated) .. padded(text) .. lengths)
    return xor(hash, self:keystream(nonce, 1, 16))
end

-- The mask of docs/session.md S-PKT-2.
function Aes:mask(sample)
    local a, b, c, d = word_be(sample, 1), word_be(sample, 5), word_be(sample, 9), word_be(sample, 13)
    local p, q, r, s = aes_block(self.w, a, b, c, d)
    local mask = bytes_be(p) .. bytes_be(q) .. bytes_be(r) .. bytes_be(s)
    d = (d + 1) % 4294967296
    if d == 0 then
        c = (c + 1) % 4294967296
        if c == 0 then
            b = (b + 1) % 4294967296
            if b == 0 then
                a = (a + 1) % 4294967296
            end
        end
    end
    p, q, r, s = aes_block(self.w, a, b, c, d)
    return sub(mask .. bytes_be(p) .. bytes_be(q) .. bytes_be(r) .. bytes_be(s), 1, 26)
end

-- ChaCha20 and Poly1305 (RFC 8439) -----------------------------------------------------------------

local function chacha_block(key, counter, nonce)
    local start = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
    for i = 0, 7 do
        start[5 + i] = word_le(key, 4 * i + 1)
    end
    start[13] = counter
    for i = 0, 2 do
        start[14 + i] = word_le(nonce, 4 * i + 1)
    end
    local x = { table.unpack(start) }
    local function quarter(a, b, c, d)
        local p, q, r, s = x[a], x[b], x[c], x[d]
        p = (p + q) % 4294967296
        s = lrotate(bxor(s, p), 16)
        r = (r + s) % 4294967296
        q = lrotate(bxor(q, r), 12)
        p = (p + q) % 4294967296
        s = lrotate(bxor(s, p), 8)
        r = (r + s) % 4294967296
        q = lrotate(bxor(q, r), 7)
        x[a], x[b], x[c], x[d] = p, q, r, s
    end
    for _ = 1, 10 do
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(4, 8, 12, 16)
        quarter(1, 6, 11, 16)
        quarter(2, 7, 12, 13)
        quarter(3, 8, 9, 14)
        quarter(4, 5, 10, 15)
    end
    local out = {}
    for i = 1, 16 do
        out[i] = bytes_le((x[i] + start[i]) % 4294967296)
    end
    return table.concat(out)
end

-- The number in little-endian bytes as ten limbs of 13 bits, so that products of limbs and their
-- sums are exact in a double.
local function limbs(s)
    local out, value, bits, at = {}, 0, 0, 1
    for i = 1, 10 do
        while bits < 13 and at <= #s do
            value = value + byte(s, at) * 2 ^ bits
            bits, at = bits + 8, at + 1
        end
        out[i] = value % 8192
        value, bits = floor(value / 8192), bits - 13
    end
    return out
end

local function poly1305(key, message)
    local r_bytes = { byte(key, 1, 16) }
    for _, i in ipairs({ 4, 8, 12, 16 }) do
        r_bytes[i] = band(r_bytes[i], 15)
    end
    for _, i in ipairs({ 5, 9, 13 }) do
        r_bytes[i] = band(r_bytes[i], 252)
    end
    local r, h = limbs(char(table.unpack(r_bytes))), { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    for at = 1, #message, 16 do
        local m = limbs(sub(message, at, math.min(at + 15, #message)) .. "\1")
        for i = 1, 10 do
            h[i] = h[i] + m[i]
        end
        local d = {}
        for i = 1, 10 do
            local sum = 0
            for j = 1, 10 do
                -- 2^130 is 5.
                local k = i - j + 1
                sum = sum + h[j] * (k >= 1 and r[k] or 5 * r[k + 10])
            end
            d[i] = sum
        end
        local carry = 0
        for i = 1, 10 do
            d[i] = d[i] + carry
            carry = floor(d[i] / 8192)
            h[i] = d[i] % 8192
        end
        h[1] = h[1] + carry * 5
        h[2] = h[2] + floor(h[1] / 8192)
        h[1] = h[1] % 8192
    end
    for _ = 1, 2 do
        local carry = 0
        for i = 1, 10 do
            h[i] = h[i] + carry
            carry = floor(h[i] / 8192)
            h[i] = h[i] % 8192
        end
        h[1] = h[1] + carry * 5
    end
    -- h - p, if that is not negative: p = 2^130 - 5.
    local g, carry = {}, 5
    for i = 1, 10 do
        g[i] = h[i] + carry
        carry = floor(g[i] / 8192)
        g[i] = g[i] % 8192
    end
    if carry >= 1 then
        h = g
    end
    -- h + s modulo 2^128, byte by byte.
    local out, value, bits, limb, sum = {}, 0, 0, 1, 0
    for i = 1, 16 do
        while bits < 8 and limb <= 10 do
            value = value + h[limb] * 2 ^ bits
            bits, limb = bits + 13, limb + 1
        end
        sum = sum + value % 256 + byte(key, 16 + i)
        out[i] = char(sum % 256)
        sum = floor(sum / 256)
        value, bits = floor(value / 256), bits - 8
    end
    return table.concat(out)
end

local ChaCha = {}
ChaCha.__index = ChaCha

-- ChaCha20-Poly1305 under `key`.
function M.chacha20_poly1305(key)
    return setmetatable({ key = key }, ChaCha)
end

function ChaCha:decrypt(nonce, text)
    local out = {}
    for i = 0, floor((#text + 63) / 64) - 1 do
        out[#out + 1] = chacha_block(self.key, 1 + i, nonce)
    end
    return xor(text, table.concat(out))
end

function ChaCha:tag(nonce, associated, text)
    local one_time = sub(chacha_block(self.key, 0, nonce), 1, 32)
    local lengths = bytes_le(#associated) .. bytes_le(0) .. bytes_le(#text) .. bytes_le(0)
    return poly1305(one_time, padded(associated) .. padded(text) .. lengths)
end

function ChaCha:mask(sample)
    return sub(chacha_block(self.key, word_le(sample, 1), sub(sample, 5, 16)), 1, 26)
end

-- Ciphers of docs/session.md S-SUITE-2.
M.ciphers = {
    { name = "AES-128-GCM", key_len = 16, new = M.aes_gcm },
    { name = "ChaCha20-Poly1305", key_len = 32, new = M.chacha20_poly1305 },
    { name = "AES-256-GCM", key_len = 32, new = M.aes_gcm },
}

return M
