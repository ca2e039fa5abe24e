//! What is done on the server in one step. Values that aren't ours may be of any type and size: none is returned whole.

/// Loads a page of hosts, the last heard of first. Key: the index. Arguments: the prefix of hosts, the earliest and the latest
/// moment, the first of the page, the size of a page, the longest name, the longest record. Gives how many the index lists,
/// and the records that can be read.
pub(super) const LOAD: &str = "
local names = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[3], ARGV[2], 'LIMIT', ARGV[4], ARGV[5])
local longest = tonumber(ARGV[7])
local records = {}
for _, name in ipairs(names) do
    if #name <= tonumber(ARGV[6]) then
        local record = redis.pcall('GETRANGE', ARGV[1] .. name, 0, longest)
        if type(record) == 'string' and #record > 0 and #record <= longest then
            records[#records + 1] = record
        end
    end
end
return {#names, records}
";

/// Publishes hosts, each unless a newer word of it is there. Key: the index. Arguments: the prefix of hosts, the channel, the
/// earliest and the latest moment, the time to live in seconds, the greatest number of hosts, the length of a rank, and then
/// for each host its name, when it was heard of, and its record. Gives how many are new.
///
/// Ranks have one length and consist of digits, so that the order of texts is that of time. A rank from a clock that is
/// ahead counts as none, or it would stand for ever.
pub(super) const PUBLISH: &str = "
local rank = tonumber(ARGV[7])
local kept = 0
for i = 8, #ARGV, 3 do
    local key = ARGV[1] .. ARGV[i]
    local known = redis.pcall('GETRANGE', key, 0, rank - 1)
    local is_known = type(known) == 'string' and #known == rank
        and string.match(known, '^%d+ %d+ [01]$') and tonumber(string.sub(known, 1, 20)) <= tonumber(ARGV[4])
    if not is_known or known < string.sub(ARGV[i + 2], 1, rank) then
        redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[5])
        redis.call('ZADD', KEYS[1], ARGV[i + 1], ARGV[i])
        redis.call('PUBLISH', ARGV[2], ARGV[i + 2])
        kept = kept + 1
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. ARGV[4], '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[6]) - 1)
redis.call('EXPIRE', KEYS[1], ARGV[5])
return kept
";
