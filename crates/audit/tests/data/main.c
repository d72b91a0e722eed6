/* What links the stand-in. */
unsigned vendor_hash(const unsigned *words, int count);
int vendor_sort(unsigned *words, int count);
#ifdef _WIN32
__declspec(dllimport) int later(int);
__declspec(dllimport) int at_once(int);
void *__delayLoadHelper2(const void *a, void *b) { return b; }
int __stdcall start(void *a, unsigned b, void *c) { return 1; }
__declspec(dllexport)
#else
int later(int n) { return n; }
int at_once(int n) { return n; }
__attribute__((visibility("default")))
#endif
int go(unsigned *words, int count) { return vendor_sort(words, count) + later(at_once(vendor_hash(words, count))); }
