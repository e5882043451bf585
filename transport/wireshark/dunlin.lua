-- Wireshark dissector of Dunlin, wire format version 1 (docs/wire.md, docs/session.md).
--
-- Put this file and dunlin_crypto.lua into the folder of personal Lua plugins, or start with
-- `-X lua_script:dunlin.lua`. Packets are found by their first two bytes; "Decode As" and the
-- preference `dunlin.port` work too. With a key log (preference `dunlin.keylog`, or the environment
-- variable DUNLIN_KEYLOG) sealed packets are unmasked and opened. Made for Wireshark 4.0 and later.

local folder = __DIR__ or debug.getinfo(1, "S").source:match("^@?(.*)[/\\][^/\\]*$") or "."
local crypto = dofile(folder .. package.config:sub(1, 1) .. "dunlin_crypto.lua")

local dunlin = Proto("dunlin", "Dunlin")

local HEADER, TAG, CRC = 32, 16, 4
local MAGIC, VERSION = 0x0d, 1
local H1_SYN, H1_SYN_ACK, H1_CONFIRM, RETRY_LEN = 1356, 1356, 346, 48

local TYPES = {
    [1] = "SYN", [2] = "SYN_ACK", [3] = "ACK", [4] = "FIN", [5] = "FIN_ACK", [6] = "RST",
    [7] = "DATA", [8] = "PING", [9] = "PONG", [10] = "FRAGMENT", [11] = "FRAGMENT_ACK", [12] = "NACK",
}
local SYN, SYN_ACK, ACK, FIN, FIN_ACK, RST = 1, 2, 3, 4, 5, 6
local DATA, PING, PONG, FRAGMENT, FRAGMENT_ACK, NACK = 7, 8, 9, 10, 11, 12

local F_ACK, F_SEALED, F_EXTENSION, F_END = 0x01, 0x02, 0x04, 0x08
local F_PHASE, F_RELIABLE, F_ORDERED, F_URGENT = 0x10, 0x20, 0x40, 0x80
local COMMON = F_ACK + F_SEALED + F_EXTENSION + F_PHASE
-- Flags that a type may carry (W-HDR-5).
local ALLOWED = {
    [SYN] = 0, [SYN_ACK] = F_END, [ACK] = COMMON, [FIN] = COMMON, [FIN_ACK] = COMMON, [RST] = COMMON,
    [DATA] = 0xff, [PING] = COMMON, [PONG] = COMMON,
    [FRAGMENT] = COMMON + F_END + F_RELIABLE + F_URGENT, [FRAGMENT_ACK] = COMMON, [NACK] = COMMON,
}

local FRAMES = {
    [0] = "PADDING", [1] = "ACK_RANGES", [2] = "MAX_DATA", [3] = "MAX_STREAM_DATA",
    [4] = "MAX_STREAMS_BIDI", [5] = "MAX_STREAMS_UNI", [6] = "STREAM", [7] = "STREAM_FIN",
    [8] = "MESSAGE", [9] = "DATAGRAM", [10] = "RESET_STREAM", [11] = "STOP_SENDING",
    [12] = "MESSAGE_LENGTH", [13] = "SESSION", [14] = "MESSAGE_ORDER", [15] = "ORDERED_MESSAGE",
    [16] = "MESSAGE_GIVEN_UP", [17] = "NEW_CONNECTION_ID", [18] = "RETIRE_CONNECTION_ID",
    [19] = "ACK_FREQUENCY", [20] = "IMMEDIATE_ACK",
    [21] = "RESET_TOKEN",
    [24] = "UNCOMPRESSED_LENGTH", [25] = "COMPRESSED_MESSAGE", [26] = "COMPRESSED_DATAGRAM",
    [27] = "COMPRESSED_ORDERED",
}
local PARAMS = {
    [0] = "connection ID", [1] = "idle timeout (ms)", [2] = "connection credit",
    [3] = "credit of each stream", [4] = "bidirectional streams", [5] = "unidirectional streams",
    [6] = "longest reliable message", [7] = "longest datagram", [8] = "longest UDP payload",
    [9] = "max_ack_delay (ms)", [10] = "window_shift",
    [11] = "min_ack_delay (µs)", [16] = "compression",
}
local ERRORS = {
    [1] = "malformed packet", [2] = "acknowledged a packet that was never sent", [3] = "flow control",
    [4] = "stream limit", [5] = "stream state", [6] = "final size", [7] = "contradicting fragments",
    [8] = "message too large", [9] = "transport parameters", [10] = "integrity limit",
    [11] = "packet numbers used up", [12] = "malformed message of the session layer",
    [13] = "too many connections of one peer", [14] = "order of messages", [15] = "connection IDs",
    [16] = "contradicting data", [17] = "a limit that shrank", [18] = "compression",
}
local SUITES = { [1] = "X25519 and ML-KEM-768", [2] = "X25519" }
local CIPHERS = { [1] = "AES-128-GCM", [2] = "ChaCha20-Poly1305", [3] = "AES-256-GCM" }

-- Fields -------------------------------------------------------------------------------------------

local f, fields = {}, {}
local function field(name, make, abbreviation, ...)
    f[name] = make("dunlin." .. abbreviation, ...)
    fields[#fields + 1] = f[name]
end
local U8, U16, U32, U64 = ProtoField.uint8, ProtoField.uint16, ProtoField.uint32, ProtoField.uint64
local BYTES, STRING, BOOL = ProtoField.bytes, ProtoField.string, ProtoField.bool

field("magic", U8, "magic", "Magic", base.HEX)
field("version", U8, "version", "Version")
field("type", U8, "type", "Type", base.DEC, TYPES)
field("flags", U8, "flags", "Flags", base.HEX)
field("flag_ack", BOOL, "flags.ack", "ACK", 8, nil, F_ACK)
field("flag_sealed", BOOL, "flags.sealed", "SEALED", 8, nil, F_SEALED)
field("flag_extension", BOOL, "flags.extension", "EXTENSION", 8, nil, F_EXTENSION)
field("flag_end", BOOL, "flags.end", "END", 8, nil, F_END)
field("flag_retry", BOOL, "flags.retry", "RETRY", 8, nil, F_END)
field("flag_phase", BOOL, "flags.key_phase", "KEY_PHASE", 8, nil, F_PHASE)
field("flag_reliable", BOOL, "flags.reliable", "RELIABLE", 8, nil, F_RELIABLE)
field("flag_ordered", BOOL, "flags.ordered", "ORDERED", 8, nil, F_ORDERED)
field("flag_urgent", BOOL, "flags.urgent", "URGENT", 8, nil, F_URGENT)
field("sequence", U32, "sequence", "Sequence Number")
field("number", U64, "number", "Packet number")
field("acknowledgment", U32, "acknowledgment", "Acknowledgment Number")
field("window", U16, "window", "Window Size")
field("checksum", U16, "checksum", "Checksum", base.HEX)
field("checksum_ok", BOOL, "checksum.ok", "Checksum is right")
field("payload_len", U32, "payload_length", "Payload Length")
field("fragment_id", U32, "fragment_id", "Fragment ID")
field("fragment_index", U16, "fragment_index", "Fragment Index")
field("fragment_total", U16, "fragment_total", "Fragment Total")
field("cid", U32, "connection_id", "Connection ID", base.HEX)
field("crc", U32, "crc", "CRC-32", base.HEX)
field("crc_ok", BOOL, "crc.ok", "CRC-32 is right")
field("tag", BYTES, "tag", "AEAD tag")
field("tag_ok", BOOL, "tag.ok", "AEAD tag is right")
field("sealed", BYTES, "sealed", "Sealed")
field("cipher", STRING, "cipher", "Cipher")
field("generation", U32, "generation", "Key generation")
field("sender", STRING, "sender", "Sender")

field("other_versions", BYTES, "versions", "Versions that it speaks")
field("syn_cid", U32, "handshake.connection_id", "Connection ID of the sender", base.HEX)
field("hs", BYTES, "handshake", "Session handshake")
field("hs_version_min", U8, "handshake.version_min", "Lowest version")
field("hs_version_max", U8, "handshake.version_max", "Highest version")
field("hs_version", U8, "handshake.version", "Version")
field("hs_suites", U8, "handshake.suites", "Suites", base.HEX)
field("hs_suite", U8, "handshake.suite", "Suite", base.DEC, SUITES)
field("hs_ciphers", U8, "handshake.ciphers", "Ciphers", base.HEX)
field("hs_preferred", U8, "handshake.preferred", "Preferred cipher", base.DEC, CIPHERS)
field("hs_cipher", U8, "handshake.cipher", "Cipher", base.DEC, CIPHERS)
field("hs_zero", BYTES, "handshake.reserved", "Reserved")
field("hs_x25519", BYTES, "handshake.x25519", "X25519 public key")
field("hs_ml_kem", BYTES, "handshake.ml_kem", "ML-KEM-768 value")
field("hs_token", BYTES, "handshake.token", "Token")
field("hs_mac", BYTES, "handshake.mac", "MAC")
field("hs_introduction", BYTES, "handshake.introduction", "Introduction, encrypted")
field("param_id", U64, "parameter.id", "Parameter")
field("param_value", U64, "parameter.value", "Value")

field("token", U64, "token", "Token", base.HEX)
field("code", U64, "code", "Code")
field("by", U8, "by", "Reset by", base.DEC, { [0] = "application", [1] = "transport" })
field("reason", STRING, "reason", "Reason")
field("padding", BYTES, "padding", "Padding")
field("extension_len", U16, "extension_length", "Length of the extension block")
field("frame", U8, "frame.type", "Frame", base.DEC, FRAMES)
field("frame_len", U64, "frame.length", "Length")
field("frame_value", BYTES, "frame.value", "Value")
field("session_offset", U64, "session.offset", "Offset in the session channel")
field("session_data", BYTES, "session.data", "Data of the session channel")
field("limit", U64, "limit", "Limit")
field("count", U64, "count", "Count")
field("delay", U64, "ack.delay", "Delay (µs)")
field("ranges", U64, "ack.count", "Further ranges")
field("range", STRING, "ack.range", "Received")
field("ect0", U64, "ack.ect0", "ECT(0)")
field("ect1", U64, "ack.ect1", "ECT(1)")
field("ce", U64, "ack.ce", "CE")
-- `dunlin.stream.id` and those below it belong to a piece and come as often as each other.
field("stream_id", U64, "stream.id", "Stream ID")
field("stream_about", U64, "stream.about", "About stream")
field("stream_offset", U64, "stream.offset", "Offset")
field("stream_fin", BOOL, "stream.fin", "End of the stream")
field("stream_len", U64, "stream.length", "Length")
field("stream_data", BYTES, "stream.data", "Data")
field("final_size", U64, "stream.final_size", "Final size")
field("message_id", U64, "message.id", "Message number")
field("message_reliable", BOOL, "message.reliable", "Reliable")
field("message_len", U64, "message.length", "Length of the message")
field("message_order", U64, "message.order", "Place among the ordered ones")
field("message_uncompressed", U64, "message.uncompressed", "Length before compression")
field("id_sequence", U64, "id.sequence", "Number of the connection ID")
field("id_issued", U64, "id.issued", "Connection ID")
field("reset_token", BYTES, "reset.token", "Stateless-reset token")
field("request_sequence", U64, "ack_frequency.sequence", "Number of the request")
field("request_packets", U64, "ack_frequency.packets", "Packets to an acknowledgement")
field("request_delay", U64, "ack_frequency.delay", "Longest delay (µs)")
field("request_reordering", U64, "ack_frequency.reordering", "At once when so far ahead of a gap")
field("message_sent", U64, "message.sent", "Bytes that were sent")
field("message_data", BYTES, "message.data", "Data")
dunlin.fields = fields

local e = {
    malformed = ProtoExpert.new("dunlin.malformed", "Malformed packet", expert.group.MALFORMED, expert.severity.ERROR),
    checksum = ProtoExpert.new("dunlin.checksum.bad", "Wrong checksum", expert.group.CHECKSUM, expert.severity.ERROR),
    tag = ProtoExpert.new("dunlin.tag.bad", "The packet does not open", expert.group.CHECKSUM, expert.severity.ERROR),
    no_key = ProtoExpert.new("dunlin.no_key", "Sealed; no key log has its keys", expert.group.UNDECODED, expert.severity.NOTE),
}
dunlin.experts = { e.malformed, e.checksum, e.tag, e.no_key }

dunlin.prefs.keylog = Pref.string("Key log", "", "File with the secrets of connections (empty: the variable DUNLIN_KEYLOG names it)")
dunlin.prefs.verify = Pref.bool("Check AEAD tags", true, "Computes the tag of every packet that is opened; finds the right key after a gap in the capture")
dunlin.prefs.port = Pref.uint("UDP port", 0, "Decode everything on this port as Dunlin (0: find it by its first bytes)")

-- What is known of connections ---------------------------------------------------------------------

-- By connection ID, which is its receiver's: a list of directions. A direction has the name of who
-- sends, its secrets by generation, and where its packet numbers are.
local directions
-- What was found out about a packet when it was seen first: by frame number and offset.
local packets
local bound_port

local function direction(cid, sender)
    directions[cid] = directions[cid] or {}
    local list = directions[cid]
    for _, known in ipairs(list) do
        if known.sender == sender and not known.secrets[0] then
            return known
        end
    end
    local new = { sender = sender, secrets = {}, keys = {}, generation = 0, first = {} }
    list[#list + 1] = new
    return new
end

local function load_key_log(path)
    local file = path ~= "" and io.open(path, "r")
    if not file then
        return
    end
    local found = {}
    for line in file:lines() do
        local who, generation, id, secret =
            line:match("^DUNLIN_(%u+)_SECRET_(%d+) (%x+) (%x+)%s*$")
        if who and #id == 16 and #secret == 64 and (who == "INITIATOR" or who == "RESPONDER") then
            -- Packets carry the connection ID of their receiver.
            local cid = tonumber(who == "INITIATOR" and id:sub(9) or id:sub(1, 8), 16)
            local name = who .. id
            if not found[name] then
                found[name] = { sender = who:lower(), secrets = {}, keys = {}, generation = 0, first = {} }
                directions[cid] = directions[cid] or {}
                table.insert(directions[cid], found[name])
            end
            found[name].secrets[tonumber(generation)] = crypto.from_hex(secret)
            local other = found[(who == "INITIATOR" and "RESPONDER" or "INITIATOR") .. id]
            if other then
                found[name].other, other.other = other, found[name]
            end
        end
    end
    file:close()
end

function dunlin.init()
    directions, packets = {}, {}
    local path = dunlin.prefs.keylog
    if path == "" then
        path = os.getenv("DUNLIN_KEYLOG") or ""
    end
    load_key_log(path)
    local udp = DissectorTable.get("udp.port")
    if bound_port and bound_port ~= 0 then
        udp:remove(bound_port, dunlin)
    end
    bound_port = dunlin.prefs.port
    if bound_port ~= 0 then
        udp:add(bound_port, dunlin)
    end
end

-- The 64-bit number nearest to `expected` with these low 32 bits (W-PN-2). Exact below 2^53.
local function reconstruct(low, expected)
    local candidate = expected - expected % 4294967296 + low
    if candidate + 2147483648 <= expected then
        return candidate + 4294967296
    elseif candidate > expected + 2147483648 and candidate >= 4294967296 then
        return candidate - 4294967296
    end
    return candidate
end

local function u64(number)
    return UInt64.new(number % 4294967296, math.floor(number / 4294967296))
end

-- Sealed packets -----------------------------------------------------------------------------------

local function header_checksum(header, salt)
    return crypto.crc32(header:sub(1, 14) .. "\0\0" .. header:sub(17), salt) % 65536
end

local function be(s, first, last)
    local n = 0
    for i = first, last do
        n = n * 256 + s:byte(i)
    end
    return n
end

-- Header key and checksum salt of a direction under a cipher.
local function header_keys(dir, cipher)
    dir.header = dir.header or {}
    if not dir.header[cipher.name] then
        dir.header[cipher.name] = {
            mask = cipher.new(crypto.label(dir.secrets[0], "hp", cipher.key_len)),
            salt = be(crypto.label(dir.secrets[0], "ck", 4), 1, 4),
        }
    end
    return dir.header[cipher.name]
end

local function secret_of(dir, generation)
    if not dir.secrets[generation] and generation > 0 then
        local before = secret_of(dir, generation - 1)
        dir.secrets[generation] = before and crypto.label(before, "ku", 32)
    end
    return dir.secrets[generation]
end

local function packet_keys(dir, generation)
    if not dir.keys[generation] then
        local secret = secret_of(dir, generation)
        dir.keys[generation] = secret and {
            aead = dir.cipher.new(crypto.label(secret, "key", dir.cipher.key_len)),
            iv = crypto.label(secret, "iv", 12),
        }
    end
    return dir.keys[generation]
end

-- The clear header, if one of the directions with this connection ID made it.
local function unmask(packet)
    for _, dir in ipairs(directions[be(packet, 29, 32)] or {}) do
        for _, cipher in ipairs(dir.cipher and { dir.cipher } or crypto.ciphers) do
            if dir.secrets[0] then
                local keys = header_keys(dir, cipher)
                local mask = keys.mask:mask(packet:sub(33, 48))
                local header = packet:sub(1, 2) .. crypto.xor(packet:sub(3, 28), mask) .. packet:sub(29, 32)
                local length = be(header, 17, 20)
                if header_checksum(header, keys.salt) == be(header, 15, 16)
                    and TYPES[header:byte(3)] and length >= TAG and length <= #packet - HEADER then
                    dir.cipher = cipher
                    return header, dir, length
                end
            end
        end
    end
end

local function nonce_of(keys, number)
    local high, low = math.floor(number / 4294967296), number % 4294967296
    local bytes = ""
    for _, half in ipairs({ low, high }) do
        for _ = 1, 4 do
            bytes = string.char(half % 256) .. bytes
            half = math.floor(half / 256)
        end
    end
    return crypto.xor(keys.iv, "\0\0\0\0" .. bytes)
end

local function tag_fits(dir, generation, number, header, sealed)
    local keys = packet_keys(dir, generation)
    if not keys then
        return false
    end
    local text, tag = sealed:sub(1, -TAG - 1), sealed:sub(-TAG)
    return keys.aead:tag(nonce_of(keys, number), header, text) == tag
end

-- Generations that a packet with this phase bit may be of, the likeliest first (S-KU-3).
local function generations(dir, phase, number)
    local now = dir.generation
    local list = {}
    if now % 2 == phase then
        list[1] = now
    elseif now > 0 and number < (dir.first[now] or 0) then
        list = { now - 1, now + 1 }
    else
        list = { now + 1, now > 0 and now - 1 or nil }
    end
    local highest = 0
    for generation in pairs(dir.secrets) do
        highest = math.max(highest, generation)
    end
    for generation = phase, highest, 2 do
        list[#list + 1] = generation
    end
    return list
end

-- Opens the sealed packet at the start of `bytes`: what was found out, remembered by `key`.
local function open(bytes, key)
    local known = packets[key]
    if known == nil then
        known = false
        local header, dir, length = unmask(bytes)
        if header then
            local sealed = bytes:sub(HEADER + 1, HEADER + length)
            local number = reconstruct(be(header, 5, 8), dir.next or 2147483648)
            local phase = math.floor(header:byte(4) / F_PHASE) % 2
            local list = generations(dir, phase, number)
            local generation, verified = list[1], nil
            if dunlin.prefs.verify then
                verified = false
                for _, candidate in ipairs(list) do
                    if tag_fits(dir, candidate, number, header, sealed) then
                        generation, verified = candidate, true
                        break
                    end
                end
            end
            if verified ~= false then
                dir.next = math.max(dir.next or 0, number + 1)
                if generation > dir.generation or dir.generation == generation then
                    dir.generation = generation
                    dir.first[generation] = math.min(dir.first[generation] or number, number)
                end
            end
            known = { header = header, dir = dir, length = length, number = number, generation = generation, verified = verified }
        end
        packets[key] = known
    end
    if not known then
        return nil
    end
    local keys = packet_keys(known.dir, known.generation)
    local sealed = bytes:sub(HEADER + 1, HEADER + known.length)
    local clear = ""
    if keys then
        clear = keys.aead:decrypt(nonce_of(keys, known.number), sealed:sub(1, -TAG - 1))
    end
    return known, known.header .. clear .. sealed:sub(-TAG)
end

-- Pieces of a packet -------------------------------------------------------------------------------

-- A place in a buffer from which fields are taken one after the other. Running out of bytes is an
-- error with the text that a warning then shows.
local Cursor = {}
Cursor.__index = Cursor

local function cursor(tvb, from, to)
    return setmetatable({ tvb = tvb, at = from, stop = to }, Cursor)
end

function Cursor:left()
    return self.stop - self.at
end

function Cursor:take(length)
    if length > self:left() then
        error({ what = "the bytes end inside a field" })
    end
    local range = self.tvb(self.at, length)
    self.at = self.at + length
    return range
end

-- A variable-length integer (RFC 9000 §16): its bytes, and its value as UInt64 and as number.
function Cursor:varint()
    local first = self:take(1):uint()
    local length = 2 ^ math.floor(first / 64)
    self.at = self.at - 1
    local range = self:take(length)
    if length < 8 then
        local value = range:uint() - math.floor(first / 64) * 64 * 256 ^ (length - 1)
        return range, UInt64.new(value, 0), value
    end
    local high, low = range(0, 4):uint() % 0x40000000, range(4, 4):uint()
    return range, UInt64.new(low, high), high * 4294967296 + low
end

function Cursor:number(tree, name)
    local range, value, number = self:varint()
    tree:add(f[name], range, value)
    return number
end

function Cursor:rest()
    return self:left() > 0 and self:take(self:left()) or nil
end

local function warn(tree, text)
    tree:add_proto_expert_info(e.malformed, "Malformed: " .. text)
end

local function add_piece(tree, data, id, offset, fin)
    tree:add(f.stream_id, u64(id)):set_generated()
    tree:add(f.stream_offset, u64(offset)):set_generated()
    tree:add(f.stream_fin, fin):set_generated()
    tree:add(f.stream_len, u64(data and data:len() or 0)):set_generated()
    if data then
        tree:add(f.stream_data, data)
    end
end

-- ACK_RANGES (W-ACK-1).
local function ack_ranges(c, tree, largest)
    c:number(tree, "delay")
    local count = c:number(tree, "ranges")
    if count > 64 then
        error({ what = "more than 65 ranges (W-ACK-2)" })
    end
    local top = largest
    for index = 0, count do
        if index > 0 then
            local _, _, gap = c:varint()
            top = top - gap - 2
        end
        local range, _, below = c:varint()
        local text = string.format("%.0f to %.0f", (top - below) % 4294967296, top % 4294967296)
        tree:add(f.range, range, text)
        top = top - below
    end
    if c:left() > 0 then
        c:number(tree, "ect0")
        c:number(tree, "ect1")
        c:number(tree, "ce")
    end
end

-- Packets of direction `dir` may bear this connection ID from now on (W-CID-1).
local function learn(cid, dir)
    if not dir then
        return
    end
    directions[cid] = directions[cid] or {}
    for _, known in ipairs(directions[cid]) do
        if known == dir then
            return
        end
    end
    table.insert(directions[cid], dir)
end

local function frame_body(kind, c, tree, context)
    if kind == 0 then
        local zeros = c:rest()
        if zeros then
            tree:add(f.padding, zeros)
        end
    elseif kind == 1 then
        ack_ranges(c, tree, context.acknowledgment)
    elseif kind == 2 then
        c:number(tree, "limit")
    elseif kind == 3 then
        c:number(tree, "stream_about")
        c:number(tree, "limit")
    elseif kind == 4 or kind == 5 then
        c:number(tree, "count")
    elseif kind == 6 or kind == 7 then
        local id_range, id = c:varint()
        local offset_range, offset = c:varint()
        local data = c:rest()
        tree:add(f.stream_id, id_range, id)
        tree:add(f.stream_offset, offset_range, offset)
        tree:add(f.stream_fin, kind == 7):set_generated()
        tree:add(f.stream_len, u64(data and data:len() or 0)):set_generated()
        if data then
            tree:add(f.stream_data, data)
        end
    elseif kind == 8 or kind == 9 then
        c:number(tree, "message_id")
        tree:add(f.message_reliable, kind == 8):set_generated()
        local data = c:rest()
        if data then
            tree:add(f.message_data, data)
        end
    elseif kind == 10 then
        c:number(tree, "stream_about")
        c:number(tree, "code")
        c:number(tree, "final_size")
    elseif kind == 11 then
        c:number(tree, "stream_about")
        c:number(tree, "code")
    elseif kind == 12 then
        c:number(tree, "message_len")
    elseif kind == 13 then
        c:number(tree, "session_offset")
        local data = c:rest()
        if data then
            tree:add(f.session_data, data)
        end
    elseif kind == 14 then
        c:number(tree, "message_order")
    elseif kind == 15 then
        c:number(tree, "message_id")
        c:number(tree, "message_order")
        tree:add(f.message_reliable, true):set_generated()
        local data = c:rest()
        if data then
            tree:add(f.message_data, data)
        end
    elseif kind == 16 then
        c:number(tree, "message_id")
        c:number(tree, "message_sent")
    elseif kind == 17 then
        c:number(tree, "id_sequence")
        local id = c:number(tree, "id_issued")
        learn(id, context.dir and context.dir.other)
    elseif kind == 18 then
        c:number(tree, "id_sequence")
    elseif kind == 19 then
        c:number(tree, "request_sequence")
        c:number(tree, "request_packets")
        c:number(tree, "request_delay")
        c:number(tree, "request_reordering")
    elseif kind == 21 then
        c:number(tree, "id_issued")
        tree:add(f.reset_token, c:take(16))
    elseif kind == 24 then
        c:number(tree, "message_uncompressed")
    elseif kind >= 25 and kind <= 27 then
        c:number(tree, "message_id")
        if kind == 27 then
            c:number(tree, "message_order")
        end
        c:number(tree, "message_uncompressed")
        tree:add(f.message_reliable, kind ~= 26):set_generated()
        local data = c:rest()
        if data then
            tree:add(f.message_data, data)
        end
    end
end

-- The extension block (W-EXT-2): its frames, and their names for the list of packets.
local function frames(tvb, from, to, tree, context)
    local c = cursor(tvb, from, to)
    local names = {}
    while c:left() > 0 do
        local start = c.at
        local kind_range = c:take(1)
        local kind = kind_range:uint()
        local length_range, length_value, length = c:varint()
        if length > c:left() then
            error({ what = "a frame exceeds its block (W-EXT-2)" })
        end
        local name = FRAMES[kind] or string.format("frame 0x%02x", kind)
        local branch = tree:add(dunlin, tvb(start, c.at - start + length), "Frame " .. name)
        branch:add(f.frame, kind_range)
        branch:add(f.frame_len, length_range, length_value)
        names[#names + 1] = name
        local value = cursor(tvb, c.at, c.at + length)
        c.at = c.at + length
        if FRAMES[kind] then
            frame_body(kind, value, branch, context)
            if value:left() > 0 then
                warn(branch, "bytes are left over behind the value (W-EXT-4)")
            end
        elseif kind < 0x80 then
            warn(branch, "an unknown frame that must be understood (W-EXT-3)")
        elseif length > 0 then
            branch:add(f.frame_value, value:rest())
        end
    end
    return names
end

local function parameters(c, tree)
    while c:left() > 0 do
        local start = c.at
        local id_range, id, number = c:varint()
        local _, _, length = c:varint()
        local value = cursor(c.tvb, c.at, c.at + length)
        c:take(length)
        local branch = tree:add(dunlin, c.tvb(start, c.at - start), "Parameter: " .. (PARAMS[number] or "unknown"))
        branch:add(f.param_id, id_range, id)
        if PARAMS[number] then
            value:number(branch, "param_value")
        end
    end
end

-- `length (1) ‖ parameters ‖ padding`: the handshake of the plain profile.
local function plain_handshake(c, tree)
    local length = c:take(1):uint()
    local stop = c.at + length
    c:take(length)
    parameters(cursor(c.tvb, stop - length, stop), tree)
    local rest = c:rest()
    if rest then
        tree:add(f.padding, rest)
    end
end

-- SYN (S-MSG-2).
local function syn(c, tree)
    if c:left() ~= H1_SYN then
        return plain_handshake(c, tree)
    end
    for _, name in ipairs({ "hs_version_min", "hs_version_max", "hs_suites", "hs_ciphers", "hs_preferred" }) do
        tree:add(f[name], c:take(1))
    end
    tree:add(f.hs_zero, c:take(3))
    tree:add(f.hs_x25519, c:take(32))
    tree:add(f.hs_ml_kem, c:take(1184))
    tree:add(f.hs_zero, c:take(84))
    tree:add(f.hs_token, c:take(32))
    tree:add(f.hs_mac, c:take(16))
end

-- SYN_ACK (S-MSG-3) and RETRY (S-MSG-6).
local function syn_ack(c, tree, retry)
    if retry then
        if c:left() == RETRY_LEN then
            tree:add(f.hs_token, c:take(32))
            tree:add(f.hs_mac, c:take(16))
        else
            tree:add(f.hs, c:rest())
        end
        return
    end
    if c:left() ~= H1_SYN_ACK then
        return plain_handshake(c, tree)
    end
    for _, name in ipairs({ "hs_version", "hs_suite", "hs_cipher", "hs_zero" }) do
        tree:add(f[name], c:take(1))
    end
    tree:add(f.hs_x25519, c:take(32))
    tree:add(f.hs_ml_kem, c:take(1088))
    tree:add(f.hs_introduction, c:take(216))
    tree:add(f.tag, c:take(TAG))
end

-- FIN and RST: code and reason.
local function ending(c, tree, is_reset)
    local by = 0
    if is_reset then
        local range = c:take(1)
        by = range:uint()
        tree:add(f.by, range)
    end
    local code = c:number(tree, "code")
    local reason = c:rest()
    if reason then
        tree:add(f.reason, reason)
    end
    return by == 1 and (ERRORS[code] or "") or string.format("code %.0f", code)
end

local function token(c, tree)
    tree:add(f.token, c:take(8))
    local rest = c:rest()
    if rest then
        tree:add(f.padding, rest)
    end
end

-- The body of DATA (table "DATA"), by its flags.
local function data_body(c, tree, h)
    local reliable, ordered = bit.band(h.flags, F_RELIABLE) ~= 0, bit.band(h.flags, F_ORDERED) ~= 0
    local is_end = bit.band(h.flags, F_END) ~= 0
    local data = c:rest()
    if reliable and ordered then
        local offset = h.index * 65536 + h.total
        add_piece(tree, data, h.fragment_id, offset, is_end)
        return string.format("stream %.0f [%.0f, +%d]%s", h.fragment_id, offset, data and data:len() or 0, is_end and " fin" or "")
    elseif is_end and not ordered then
        tree:add(f.message_id, u64(h.fragment_id)):set_generated()
        tree:add(f.message_reliable, reliable):set_generated()
        if data then
            tree:add(f.message_data, data)
        end
        return string.format("%s %.0f", reliable and "message" or "datagram", h.fragment_id)
    elseif reliable or ordered or is_end then
        warn(tree, "flags that mean nothing together (W-HDR-5)")
    elseif data then
        warn(tree, "a body where none may be")
    end
end

local function fragment_body(c, tree, h)
    tree:add(f.message_id, u64(h.fragment_id)):set_generated()
    tree:add(f.message_reliable, bit.band(h.flags, F_RELIABLE) ~= 0):set_generated()
    local data = c:rest()
    if data then
        tree:add(f.message_data, data)
    end
    if h.index >= h.total then
        warn(tree, "a fragment outside its message (W-HDR-9)")
    end
    return string.format("message %.0f, %d of %d", h.fragment_id, h.index + 1, h.total)
end

local function body(c, tree, h)
    local kind = h.kind
    if kind == SYN or kind == SYN_ACK then
        local retry = kind == SYN_ACK and bit.band(h.flags, F_END) ~= 0
        if not retry then
            local range = c:take(4)
            tree:add(f.syn_cid, range)
            local sender = kind == SYN and "initiator" or "responder"
            -- Its packets come to it under this ID.
            direction(range:uint(), sender == "initiator" and "responder" or "initiator")
        end
        if kind == SYN then
            syn(c, tree)
        else
            syn_ack(c, tree, retry)
        end
        return retry and "RETRY" or nil
    elseif kind == ACK and not h.sealed and c:left() == H1_CONFIRM then
        tree:add(f.hs_introduction, c:take(H1_CONFIRM - TAG))
        tree:add(f.tag, c:take(TAG))
        return "confirm"
    elseif kind == FIN or kind == RST then
        return ending(c, tree, kind == RST)
    elseif kind == PING or kind == PONG then
        token(c, tree)
    elseif kind == DATA then
        return data_body(c, tree, h)
    elseif kind == FRAGMENT then
        return fragment_body(c, tree, h)
    elseif c:left() > 0 then
        if kind == ACK or kind == FIN_ACK then
            warn(tree, "a body where none may be (W-TYP-1)")
        end
        tree:add(f.padding, c:rest())
    end
end

-- The header ---------------------------------------------------------------------------------------

local FLAG_FIELDS = {
    "flag_ack", "flag_sealed", "flag_extension", "flag_end", "flag_phase", "flag_reliable", "flag_ordered", "flag_urgent",
}

local function header_tree(tvb, at, tree, h, checksum_ok)
    tree:add(f.magic, tvb(at, 1))
    tree:add(f.version, tvb(at + 1, 1))
    tree:add(f.type, tvb(at + 2, 1))
    local flags = tree:add(f.flags, tvb(at + 3, 1))
    for _, name in ipairs(FLAG_FIELDS) do
        if name == "flag_end" and h.kind == SYN_ACK then
            name = "flag_retry"
        end
        flags:add(f[name], tvb(at + 3, 1))
    end
    tree:add(f.sequence, tvb(at + 4, 4))
    if h.number then
        tree:add(f.number, u64(h.number)):set_generated()
    end
    tree:add(f.acknowledgment, tvb(at + 8, 4))
    tree:add(f.window, tvb(at + 12, 2))
    tree:add(f.checksum, tvb(at + 14, 2))
    local right = tree:add(f.checksum_ok, checksum_ok)
    right:set_generated()
    if not checksum_ok then
        right:add_proto_expert_info(e.checksum)
    end
    tree:add(f.payload_len, tvb(at + 16, 4))
    tree:add(f.fragment_id, tvb(at + 20, 4))
    tree:add(f.fragment_index, tvb(at + 24, 2))
    tree:add(f.fragment_total, tvb(at + 26, 2))
    tree:add(f.cid, tvb(at + 28, 4))
    local allowed = ALLOWED[h.kind]
    if not allowed then
        warn(tree, "no packet type (W-HDR-4)")
    elseif bit.band(h.flags, bit.bnot(allowed)) ~= 0 then
        warn(tree, "flags that this type does not carry (W-HDR-5)")
    end
    local positioned = h.kind == DATA or h.kind == FRAGMENT or h.kind == FRAGMENT_ACK or h.kind == NACK
    if not positioned and (h.fragment_id ~= 0 or h.index ~= 0 or h.total ~= 0) then
        warn(tree, "a position in a packet without data (W-HDR-9)")
    end
end

local function parse_header(header)
    local flags = header:byte(4)
    return {
        kind = header:byte(3),
        flags = flags,
        sequence = be(header, 5, 8),
        acknowledgment = be(header, 9, 12),
        payload_len = be(header, 17, 20),
        fragment_id = be(header, 21, 24),
        index = be(header, 25, 26),
        total = be(header, 27, 28),
        cid = be(header, 29, 32),
        sealed = bit.band(flags, F_SEALED) ~= 0,
    }
end

-- Payload and trailer of a packet whose header is clear, at `at` of `tvb`; the text for the list.
local function packet_tree(tvb, at, tree, h, trailer)
    local stop = at + HEADER + h.payload_len - trailer
    local context = { acknowledgment = h.acknowledgment, dir = h.dir }
    local names = {}
    local block = stop
    if bit.band(h.flags, F_EXTENSION) ~= 0 then
        if stop - at - HEADER < 2 then
            error({ what = "no room for the length of the extension block (W-EXT-1)" })
        end
        local length = tvb(stop - 2, 2):uint()
        block = stop - 2 - length
        if block < at + HEADER then
            error({ what = "the extension block exceeds the payload (W-EXT-1)" })
        end
        tree:add(f.extension_len, tvb(stop - 2, 2))
    end
    local text = body(cursor(tvb, at + HEADER, block), tree, h)
    if block < stop then
        names = frames(tvb, block, stop - 2, tree, context)
    end
    local info = TYPES[h.kind] or "?"
    if text and text ~= "" then
        info = info .. " " .. text
    end
    if #names > 0 then
        info = info .. " (" .. table.concat(names, ", ") .. ")"
    end
    return info
end

-- Does `work`; what it finds malformed becomes a warning.
local function guarded(tree, work, ...)
    local done, result = pcall(work, ...)
    if done then
        return result
    end
    if type(result) == "table" and result.what then
        warn(tree, result.what)
        return "[malformed]"
    end
    error(result, 0)
end

local function sender_of(cid)
    local list = directions[cid]
    return list and #list == 1 and list[1].sender or nil
end

-- Dissection ---------------------------------------------------------------------------------------

local function version_reply(tvb, tree)
    local branch = tree:add(dunlin, tvb(), "Dunlin, version reply")
    branch:add(f.magic, tvb(0, 1))
    branch:add(f.version, tvb(1, 1))
    branch:add(f.type, tvb(2, 1))
    branch:add(f.sequence, tvb(4, 4))
    branch:add(f.cid, tvb(28, 4))
    if tvb:len() > HEADER then
        branch:add(f.other_versions, tvb(HEADER))
    else
        warn(branch, "it lists no version (W-INV-2)")
    end
    return "version reply"
end

-- W-RST-1.
local function stateless_reset(tvb, tree)
    local branch = tree:add(dunlin, tvb(), "Dunlin, stateless reset")
    branch:add(f.magic, tvb(0, 1))
    branch:add(f.version, tvb(1, 1))
    branch:add(f.type, tvb(2, 1))
    branch:add(f.reset_token, tvb(8, 16))
    branch:add(f.cid, tvb(28, 4))
    return "stateless reset"
end

local function plain_packet(tvb, at, tree, h)
    local length = HEADER + h.payload_len
    local branch = tree:add(dunlin, tvb(at, length), "Dunlin, " .. (TYPES[h.kind] or "?"))
    header_tree(tvb, at, branch, h, true)
    local who = sender_of(h.cid)
    if who then
        branch:add(f.sender, who):set_generated()
    end
    if h.payload_len < CRC then
        warn(branch, "no room for the trailer")
        return "[malformed]"
    end
    local info = guarded(branch, packet_tree, tvb, at, branch, h, CRC)
    local trailer = tvb(at + length - CRC, CRC)
    local right = crypto.crc32(tvb(at, length - CRC):raw()) == trailer:uint()
    branch:add(f.crc, trailer)
    local item = branch:add(f.crc_ok, right)
    item:set_generated()
    if not right then
        item:add_proto_expert_info(e.checksum)
    end
    return info
end

local function sealed_packet(tvb, at, tree, known, clear)
    local length = HEADER + known.length
    local branch = tree:add(dunlin, tvb(at, length), "Dunlin, " .. (TYPES[known.header:byte(3)] or "?") .. ", sealed")
    local opened = ByteArray.new(clear, true):tvb("Dunlin packet, opened")
    local h = parse_header(known.header)
    h.number, h.dir = known.number, known.dir
    header_tree(opened, 0, branch, h, true)
    branch:add(f.sender, known.dir.sender):set_generated()
    branch:add(f.cipher, known.dir.cipher.name):set_generated()
    branch:add(f.generation, known.generation):set_generated()
    local info = "sealed"
    if known.verified == false then
        branch:add_proto_expert_info(e.tag)
    else
        info = guarded(branch, packet_tree, opened(), 0, branch, h, TAG)
    end
    branch:add(f.tag, opened(length - TAG, TAG))
    if known.verified ~= nil then
        branch:add(f.tag_ok, known.verified):set_generated()
    end
    return info
end

local function closed_packet(tvb, at, tree)
    local branch = tree:add(dunlin, tvb(at), "Dunlin, sealed")
    branch:add(f.magic, tvb(at, 1))
    branch:add(f.version, tvb(at + 1, 1))
    branch:add(f.cid, tvb(at + 28, 4))
    local item = branch:add(f.sealed, tvb(at))
    item:add_proto_expert_info(e.no_key)
    return "sealed"
end

-- A clear header at the start of `bytes`; nil when it is none (then it may be masked).
local function clear_header(bytes)
    if #bytes < HEADER or header_checksum(bytes:sub(1, HEADER), 0) ~= be(bytes, 15, 16) then
        return nil
    end
    local h = parse_header(bytes)
    return TYPES[h.kind] and not h.sealed and h or nil
end

function dunlin.dissector(tvb, pinfo, tree)
    local bytes = tvb:raw()
    if #bytes < HEADER or bytes:byte(1) ~= MAGIC then
        return 0
    end
    pinfo.cols.protocol = "DUNLIN"
    local infos = {}
    local at = 0
    if bytes:byte(2) == 0 then
        local is_reset = bytes:byte(3) == RST and #bytes == HEADER
        infos[1] = is_reset and stateless_reset(tvb, tree) or version_reply(tvb, tree)
        at = #bytes
    end
    while at < #bytes do
        local rest = bytes:sub(at + 1)
        local h = rest:byte(1) == MAGIC and rest:byte(2) == VERSION and clear_header(rest) or nil
        local info, length
        if h then
            if HEADER + h.payload_len > #rest then
                local branch = tree:add(dunlin, tvb(at), "Dunlin, cut off")
                warn(branch, "Payload Length runs past the datagram (W-HDR-8)")
                info, length = "[malformed]", #rest
            else
                info, length = plain_packet(tvb, at, tree, h), HEADER + h.payload_len
            end
        elseif #rest >= HEADER + TAG and rest:byte(1) == MAGIC and rest:byte(2) == VERSION then
            local known, clear = open(rest, pinfo.number .. ":" .. at)
            if known then
                info, length = sealed_packet(tvb, at, tree, known, clear), HEADER + known.length
            else
                info, length = closed_packet(tvb, at, tree), #rest
            end
        else
            local branch = tree:add(dunlin, tvb(at), "Dunlin, not a packet")
            warn(branch, rest:byte(2) == VERSION and "the bytes end inside a packet (W-HDR-1)" or "another version (W-HDR-3)")
            info, length = "[malformed]", #rest
        end
        infos[#infos + 1] = info
        at = at + length
    end
    pinfo.cols.info = table.concat(infos, " | ")
    return #bytes
end

-- Magic and version, and room for the smallest packet.
local function looks_like_dunlin(tvb)
    if tvb:len() == HEADER then
        return tvb(0, 1):uint() == MAGIC and tvb(1, 1):uint() == 0 and tvb(2, 1):uint() == RST
    end
    if tvb:len() < HEADER + CRC or tvb(0, 1):uint() ~= MAGIC then
        return tvb:len() == HEADER + 1 and tvb(0, 1):uint() == MAGIC and tvb(1, 1):uint() == 0 and tvb(2, 1):uint() == SYN_ACK
    end
    local version = tvb(1, 1):uint()
    return version == VERSION or (version == 0 and tvb(2, 1):uint() == SYN_ACK)
end

dunlin:register_heuristic("udp", function(tvb, pinfo, tree)
    if not looks_like_dunlin(tvb) then
        return false
    end
    pinfo.conversation = dunlin
    dunlin.dissector(tvb, pinfo, tree)
    return true
end)
DissectorTable.get("udp.port"):add_for_decode_as(dunlin)
