// Where the lanes of a warp meet: votes, shuffles, the tensor core; and cp.async.
//
// Each lane brings an operand. The last to come finishes the work of all, since it
// alone runs while the others wait.
#include "internals.h"

using namespace emu;

namespace {

struct Shuffle { unsigned long long value, result; int source; const char* where; };

void finish_shuffle(Thread* warp, unsigned int lanes)
{
    for (int l = 0; l < 32; l++) {
        if (!(lanes >> l & 1)) continue;
        Shuffle* mine = (Shuffle*)warp[l].operand;
        int from = mine->source & 31;
        if (!(lanes >> from & 1)) {
            me = warp - threads + l;
            fault({mine->where, 0}, "shuffle from lane %d, which does not take part",
                  from);
        }
        mine->result = ((Shuffle*)warp[from].operand)->value;
    }
}

void finish_ballot(Thread* warp, unsigned int lanes)
{
    unsigned int votes = 0;
    for (int l = 0; l < 32; l++)
        if (lanes >> l & 1 && *(unsigned int*)warp[l].operand) votes |= 1u << l;
    for (int l = 0; l < 32; l++)
        if (lanes >> l & 1) *(unsigned int*)warp[l].operand = votes;
}

struct Fragments { float* d; const float* a; const float* b; const char* where; };

// The tensor core reads 19 bits of a float: sign, exponent, 10 bits of the fraction.
float truncated(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

// d += a b for a (16, 8), b (8, 8), with lane l = 4 g + t holding, as PTX has it,
// a[g][t], a[g+8][t], a[g][t+4], a[g+8][t+4]; b[t][g], b[t+4][g];
// d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1].
void finish_mma(Thread* warp, unsigned int lanes)
{
    float a[16][8], b[8][8], sums[16][8];
    if (lanes != ~0u) {
        const char* where = ((Fragments*)threads[me].operand)->where;
        fault({where, 0}, "mma needs all 32 lanes, got %08x", lanes);
    }
    for (int l = 0; l < 32; l++) {
        const Fragments& f = *(Fragments*)warp[l].operand;
        int g = l / 4, t = l % 4;
        for (int i = 0; i < 4; i++) a[g + i % 2 * 8][t + i / 2 * 4] = truncated(f.a[i]);
        for (int i = 0; i < 2; i++) b[t + i * 4][g] = truncated(f.b[i]);
        for (int i = 0; i < 4; i++) sums[g + i / 2 * 8][t * 2 + i % 2] = f.d[i];
    }
    for (int row = 0; row < 16; row++)  // in this order g++ does the columns at once
        for (int k = 0; k < 8; k++)
            for (int j = 0; j < 8; j++) sums[row][j] += a[row][k] * b[k][j];
    for (int l = 0; l < 32; l++) {
        float* d = ((Fragments*)warp[l].operand)->d;
        for (int i = 0; i < 4; i++) d[i] = sums[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
    }
}

}  // namespace

extern "C" {

unsigned long long emu_shuffle(const char* where, unsigned int mask,
                               unsigned long long value, int source)
{
    Shuffle operand = {value, 0, source, where};
    meet(where, mask, &operand, finish_shuffle);
    return operand.result;
}

unsigned int emu_ballot(const char* where, unsigned int mask, int predicate)
{
    unsigned int operand = predicate;
    meet(where, mask, &operand, finish_ballot);
    return operand;
}

// Of these meetings, CUDA lets only __syncwarp order accesses to memory.
void emu_sync_warp(const char* where, unsigned int mask)
{
    meet(where, mask, 0, synchronise);
}

void emu_mma_tf32(const char* where, float* d, const float* a, const float* b)
{
    Fragments operand = {d, a, b, where};
    meet(where, ~0u, &operand, finish_mma);
}

// A copy may land at any time until it is waited for. So its target is NaN at first,
// and gets its value at the last moment.
void emu_copy_async(const char* where, void* target, const void* source)
{
    access(source, 16, READ, where);
    access(target, 16, WRITE, where);
    memset(target, 0xff, 16);
    threads[me].copies.push_back({target, source, threads[me].group, where});
}

void emu_copy_commit() { threads[me].group++; }

void emu_copy_wait(int pending)
{
    Thread& t = threads[me];
    std::vector<Copy> later;
    for (const Copy& copy : t.copies)
        if (copy.group < t.group - pending) {
            access(copy.source, 16, READ, copy.where);
            access(copy.target, 16, WRITE, copy.where);
            memcpy(copy.target, copy.source, 16);
        } else {
            later.push_back(copy);
        }
    t.copies.swap(later);
}

}
