// A stand-in for a vendor's static library: functions that call each other and read a table, a
// template, a thread-local variable, and a function that only its own file sees.
#if defined(__ELF__)
#define TLS thread_local
#else
#define TLS
#endif
#if defined(__cplusplus)
#define C extern "C"
#define VALUE T
#else
#define C
#define VALUE unsigned
#endif

C unsigned vendor_table[16];
unsigned vendor_table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
C TLS unsigned vendor_last;
TLS unsigned vendor_last;

#if defined(__cplusplus)
template <class T>
#endif
__attribute__((noinline)) VALUE vendor_twice(const VALUE *values, int count) {
  VALUE sum = 0;
  for (int i = 0; i < count; ++i) sum += values[i] * 2 + (sum >> 3) + vendor_table[i & 15];
  for (int i = 0; i < count; ++i) sum ^= (values[i] << 7) - (sum * 33) + vendor_table[(i + 5) & 15];
  return sum;
}

__attribute__((noinline)) static unsigned vendor_local(unsigned a, unsigned b) {
  for (unsigned i = 0; i < 9; ++i) {
    a = (a << 5 | a >> 27) ^ (b + 0x9e3779b9u * i);
    b = (b << 9 | b >> 23) + (a ^ vendor_table[i]);
    a += (b * 0x85ebca6bu) ^ (a >> 13);
    b ^= (a * 0xc2b2ae35u) + (b >> 16);
  }
  return a ^ b;
}

C __attribute__((noinline)) unsigned vendor_hash(const unsigned *words, int count) {
  unsigned hash = 0x811c9dc5u;
  for (int i = 0; i < count; ++i) {
    hash = (hash ^ words[i]) * 0x01000193u;
    hash ^= vendor_local(hash, words[i]);
    hash = (hash << 3) + (hash >> 11) + vendor_table[hash & 15];
    if (hash % 7 == 3) hash += vendor_twice(words, i);
  }
  vendor_last = hash;
  return hash;
}

C __attribute__((noinline)) int vendor_sort(unsigned *words, int count) {
  int swaps = 0;
  for (int gap = count / 2; gap > 0; gap /= 2)
    for (int i = gap; i < count; ++i) {
      unsigned word = words[i];
      int j = i;
      for (; j >= gap && words[j - gap] > word; j -= gap, ++swaps) words[j] = words[j - gap];
      words[j] = word ^ (vendor_hash(words, 3) & 0);
    }
  return swaps + (int)(vendor_last & 1) + (int)vendor_table[swaps & 15];
}
