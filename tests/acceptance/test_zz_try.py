import sys; sys.path[:0]=["/work/main/tests/acceptance"]
from pathlib import Path
from scene import *
from domainflow.spec import PatternSource
from domainflow.vocabulary import PatternType
import time
def test_x(database, home):
    t=time.time()
    with beside_a_lab(database.dsn, home) as scene:
        print("open", time.time()-t)
        c=scene.started(small(PatternSource(pattern_type=PatternType.PREFIX,variable_length=2,character_set="abcdefghijklmnop",constant="river",tld="com"),batch_size=50))
        v=scene.completed(c)
        print("done", time.time()-t, scene.runtime.tree())
    print("closed", time.time()-t)
