"""What the agent tells at length: more than a minute, to be interrupted."""

from typing import Final

TEXT: Final = """
On a small rock in the cold sea stood a lighthouse. Its keeper was a woman named Mary, and she lived there with a
grey cat. Every evening she climbed one hundred and twenty steps and lit the great lamp. Every morning she climbed
down again and made a pot of strong tea. One winter night the wind was so loud that she could not hear her own
voice. Far out in the dark she saw a single green light, and it was moving the wrong way. A ship had lost its
road and was coming straight for the rocks. Mary turned the lamp, but the snow was thick, and the ship did not
answer. So she took the old brass bell from the wall and carried it out to the edge of the stones. She rang it
three times, and waited, and rang it three times again. For a long while there was only the wind. Then, very
softly, a bell rang back from the water. Mary rang once, and the ship rang once, and so they spoke until the sun
came up. When the snow was gone, she saw the ship lying safe in the bay, with all its people on the deck. The
captain rowed over to the rock to thank her. He asked how he could ever repay such kindness. Mary thought about
it, and looked at the empty pot. You could bring me some tea, she said. And from that winter on, every ship that
passed the lighthouse rang its bell three times, and left a box of tea. That is the end of my story.
"""
