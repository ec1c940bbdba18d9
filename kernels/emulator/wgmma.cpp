// Products of four warps, whose second matrix lies in shared memory: wgmma.
#include <algorithm>

#include "hopper.h"

namespace emu {
namespace {

struct Product {
    const char* where;
    int n, group;
    float* d;
    const float* a;
    float kept[4], rows[2][8];  // a as it was, and the two rows that this lane needs
    uint64_t b;
    bool adds;
};

// What a thread's products under way add up to: its registers are NaN meanwhile.
struct Sums { float* d; int n; std::vector<float> values; };

struct Worker {
    std::vector<Product> products;
    std::vector<Sums> sums;
    int group;
    bool fenced;
    unsigned int issued;        // by its warp, in its first lane
};
Worker workers[MAX_THREADS];

// The products of each four warps, which must make the same.
struct Issue { const char* where; int n; uint64_t b; bool adds; };
std::vector<Issue> issues[MAX_THREADS / 128];

float cut(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

struct Matrix {                 // (n, 8) in shared memory, 8 along its rows
    uint64_t start, lead, stride;
    int span;

    Matrix(uint64_t b)
    {
        start = (b & 0x3fff) << 4, lead = (b >> 16 & 0x3fff) << 4;
        stride = (b >> 32 & 0x3fff) << 4;
        span = b >> 62 ? 256 >> (b >> 62) : 0;   // 1: 128 bytes, 2: 64, 3: 32
    }

    // Of the half of row r: four numbers.
    uint64_t at(int r, int half) const
    {
        if (!span) return start + r / 8 * stride + half * lead + r % 8 * 16;
        return swizzled(start + r / 8 * stride + r % 8 * span + half * 16, span);
    }

    // All that n rows may reach: from first() on, so many bytes.
    uint64_t first() const { return span ? start / (8 * span) * (8 * span) : start; }
    unsigned long extent(int n) const
    {
        return (n / 8 - 1) * stride + (span ? 8 * span : lead + 128);
    }
};

struct Lane { Product product; };  // what it brings

void finish_issue(Thread* warp, unsigned int lanes)
{
    const int first = warp - threads, last = me;
    const Product& one = ((Lane*)warp[0].operand)->product;
    Place where = {one.where, 0};
    if (lanes != ~0u) fault(where, "wgmma needs all 32 lanes, got %08x", lanes);
    for (int l = 0; l < 32; l++) {
        Product p = ((Lane*)warp[l].operand)->product;
        Worker& worker = workers[first + l];
        me = first + l;
        if (p.n != one.n || p.b != one.b || p.adds != one.adds)
            fault(where, "lanes of a warp ask for different products");
        if (!worker.fenced)
            fault(where, "a group of products that does not begin with wgmma_fence()");
        for (int k = 0; k < 8; k++)
            for (int h = 0; h < 2; h++)
                p.rows[h][k] = cut(((Lane*)warp[l / 4 * 4 + k % 4].operand)
                                       ->product.kept[h + k / 4 * 2]);
        auto sums = std::find_if(worker.sums.begin(), worker.sums.end(),
                                 [&](const Sums& s) { return s.d == p.d; });
        if (sums == worker.sums.end()) {
            worker.sums.push_back({p.d, p.n, {p.d, p.d + p.n / 2}});
            memset(p.d, 0xff, p.n / 2 * sizeof(float));
        } else {
            for (int i = 0; i < p.n / 2; i++)
                if (__float_as_uint(p.d[i]) != ~0u)
                    fault(where, "sums were changed while a product was under way");
        }
        p.group = worker.group;
        worker.products.push_back(p);
    }
    Matrix b(one.b);
    me = first;
    if (one.b >> 49 & 7) fault(where, "a descriptor with a base offset");
    if (b.span && b.start % (8 * b.span) >= (unsigned)b.span)
        fault(where, "a descriptor that begins in the middle of a pattern of %d bytes",
              8 * b.span);
    check_inside(where, b.first(), b.extent(one.n), "a product");
    std::vector<Issue>& all = issues[first / 128];
    unsigned int number = workers[first].issued++;
    if (number == all.size()) all.push_back({one.where, one.n, one.b, one.adds});
    const Issue& same = all[number];
    if (same.where != one.where || same.n != one.n || same.b != one.b ||
        same.adds != one.adds)
        fault(where, "the four warps of a group make different products");
    me = last;
}

struct Wait { const char* where; int pending; };

void finish_wait(Thread* warp, unsigned int lanes)
{
    const int first = warp - threads, last = me;
    const Wait& wait = *(Wait*)warp[0].operand;
    if (lanes != ~0u) fault({wait.where, 0}, "all 32 lanes wait for products, or none");
    std::vector<Product>& list = workers[first].products;
    size_t done = 0;
    for (; done < list.size() &&
           list[done].group < workers[first].group - wait.pending; done++) {
        const Product one = list[done];
        Matrix b(one.b);
        std::vector<float> values(one.n * 8);
        me = first;
        for (int r = 0; r < one.n; r++)
            for (int half = 0; half < 2; half++) {
                uint64_t place = b.at(r, half);
                check_seen({one.where, 0}, place, 16, "a product");
                if (is_loaded(place, 16))
                    fault({one.where, 0}, "a product reads byte %ld of shared memory, where"
                          " a copy is under way", (long)place);
                memcpy(&values[r * 8 + half * 4], at(place), 16);
            }
        for (float& v : values) v = cut(v);
        for (int l = 0; l < 32; l++) {
            Worker& worker = workers[first + l];
            const Product& p = worker.products[done];
            me = first + l;
            if (memcmp(p.a, p.kept, sizeof p.kept))
                fault({p.where, 0}, "registers were changed while a product read them");
            auto sums = std::find_if(worker.sums.begin(), worker.sums.end(),
                                     [&](const Sums& s) { return s.d == p.d; });
            for (int i = 0; i < p.n / 2; i++) {
                const float* row = &values[(i / 4 * 8 + l % 4 * 2 + i % 2) * 8];
                float sum = p.adds ? sums->values[i] : 0;
                for (int k = 0; k < 8; k++) sum += p.rows[i / 2 % 2][k] * row[k];
                sums->values[i] = sum;
            }
        }
    }
    for (int l = 0; l < 32; l++) {
        Worker& worker = workers[first + l];
        worker.products.erase(worker.products.begin(), worker.products.begin() + done);
        for (size_t i = worker.sums.size(); i-- > 0;) {
            Sums& sums = worker.sums[i];
            bool open = false;
            for (const Product& p : worker.products) open |= p.d == sums.d;
            if (open) continue;
            std::copy(sums.values.begin(), sums.values.end(), sums.d);
            worker.sums.erase(worker.sums.begin() + i);
        }
    }
    me = last;
}

}  // namespace

bool is_multiplied(uint64_t place, unsigned long bytes)
{
    for (int t = 0; t < MAX_THREADS; t += 32)
        for (const Product& p : workers[t].products)
            if (overlap(place, bytes, Matrix(p.b).first(), Matrix(p.b).extent(p.n)))
                return true;
    return false;
}

void begin_products()
{
    for (Worker& worker : workers) worker = {};
    for (auto& all : issues) all.clear();
}

void end_products(int count)
{
    for (int t = 0; t < count; t++) {
        me = t;
        if (!workers[t].products.empty())
            fault({workers[t].products[0].where, 0}, "nobody waited for this product");
        if (t % 32 == 0 && workers[t].issued != issues[t / 128].size())
            fault({issues[t / 128][workers[t].issued].where, 0},
                  "one of the four warps of a group did not make this product");
    }
}

}  // namespace emu

using namespace emu;

extern "C" {

void emu_wgmma_fence() { workers[me].fenced = true; }

void emu_wgmma_commit()
{
    workers[me].group++;
    workers[me].fenced = false;
}

// d += a b, or d = a b, for a (64, 8) in the registers of four warps, b (8, n) in shared
// memory, n numbers for each half of each warp's 16 rows.
void emu_wgmma(const char* where, int n, float* d, const float* a, unsigned long long b,
               int adds)
{
    Lane lane = {{where, n, 0, d, a, {a[0], a[1], a[2], a[3]}, {}, b, adds != 0}};
    meet(where, ~0u, &lane, finish_issue);
}

void emu_wgmma_wait(const char* where, int pending)
{
    Wait wait = {where, pending};
    meet(where, ~0u, &wait, finish_wait);
}

}
